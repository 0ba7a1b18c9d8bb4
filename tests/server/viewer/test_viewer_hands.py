"""The hands on the stage, with three and without a browser."""

from __future__ import annotations

from pathlib import Path

from tests.server.viewer.conftest import MODULES
from tests.server.viewer.node import add_packages, modules_in, needs_node

pytestmark = needs_node


def test_a_hand_that_comes_back_needs_no_new_shaders(tmp_path: Path) -> None:
    # Three throws a shader away with the last material that uses it, and a new one holds up the picture.
    add_packages(tmp_path)
    body = """
    const { HandsView } = await import("./js/scene/hands_view.js");
    const names = ["wrist", "thumb", "index"], faces = [[0, 1, 2]];
    const hands = new HandsView();
    hands.setSkeleton({ joint_names: names, parents: [-1, 0, 0],
      mesh: { vertex_count: 3, faces: { left: faces, right: faces } } });
    hands.setLayers({ mesh: true, skeleton: true, ellipsoids: true, trails: true });
    const floats = (count) => Float32Array.from({ length: count }, (_, i) => 0.01 * i);
    const hand = (id, side) => ({ id, side, joints: floats(9), vertices: floats(9), covariance: floats(18) });
    const materials = new Set(), geometries = new Set();
    const thrownAway = { materials: 0, geometries: 0 };
    const note = (all, each, kind) => {
      if (!all.has(each)) each.addEventListener("dispose", () => (thrownAway[kind] += 1));
      all.add(each);
    };
    for (let id = 0; id < 3; id++) {
      hands.show([hand(id, "left"), hand(id, "right")], 100 * id);
      hands.object.traverse(({ material, geometry }) => {
        if (!material) return;
        note(materials, material, "materials");
        note(geometries, geometry, "geometries");
      });
    }
    hands.show([], 300);
    return { materials: materials.size, geometries: geometries.size, thrownAway };
    """
    told = modules_in(tmp_path, js=MODULES)(body)
    # Two skins, skeleton, ellipsoids, trails; and of each hand surface, spheres, cylinders, ellipsoids, trails.
    assert told == {"materials": 5, "geometries": 30, "thrownAway": {"materials": 0, "geometries": 30}}
