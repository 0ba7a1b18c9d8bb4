/** The cameras on the stage: a frustum each, with its name, that can be clicked. */

import {
  BufferAttribute,
  BufferGeometry,
  DoubleSide,
  Group,
  LineBasicMaterial,
  LineSegments,
  Mesh,
  MeshBasicMaterial,
  Raycaster,
  Vector2,
  Vector3,
} from "three";

import { cameraPose } from "../geometry.js";
import { planeOf } from "./picture_plane.js";

/** @typedef {import("../types.js").CameraInfo} CameraInfo */

const CLICK_TOLERANCE_PX = 5;
const point = new Vector3();

export class RigView {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {HTMLElement} labelLayer Lies over the canvas.
   * @param {(cameraId: string) => void} onPick
   */
  constructor(stage, labelLayer, onPick) {
    this.stage = stage;
    this.labelLayer = labelLayer;
    this.onPick = onPick;
    this.object = new Group();
    /** @type {Map<string, Frustum>} */
    this.frusta = new Map();
    this.raycaster = new Raycaster();
    stage.afterRender.push(() => this.#placeLabels());
    this.#listenForClicks();
  }

  /** @param {CameraInfo[]} cameras @param {number} depthM How far the frusta reach. */
  setCameras(cameras, depthM) {
    for (const frustum of this.frusta.values()) {
      this.object.remove(frustum.object);
      frustum.dispose();
    }
    this.frusta.clear();
    for (const camera of cameras) {
      if (!camera.calibration) continue;
      const frustum = new Frustum(camera, depthM, () => this.onPick(camera.id));
      this.frusta.set(camera.id, frustum);
      this.object.add(frustum.object);
      this.labelLayer.append(frustum.label);
    }
    this.setSeenFrom(this.seenFrom ?? null);
  }

  /** @param {{line: string, idle: string}} colours */
  setColours(colours) {
    this.colours = colours;
    this.setUsed(this.used ?? []);
  }

  /** Mark the cameras whose pictures the newest hands come from. @param {string[]} views */
  setUsed(views) {
    this.used = views;
    if (!this.colours) return;
    for (const [id, frustum] of this.frusta) frustum.setColour(views.includes(id) ? this.colours.line : this.colours.idle);
  }

  /** A frustum seen from its own camera is only in the way. @param {string | null} cameraId */
  setSeenFrom(cameraId) {
    this.seenFrom = cameraId;
    for (const [id, frustum] of this.frusta) frustum.object.visible = id !== cameraId;
    this.stage.requestRender();
  }

  /** @param {boolean} visible */
  setVisible(visible) {
    this.object.visible = visible;
    this.labelLayer.hidden = !visible;
    this.stage.requestRender();
  }

  #placeLabels() {
    if (!this.object.visible) return;
    const { width, height } = this.stage.size;
    for (const frustum of this.frusta.values()) {
      const { anchor, object } = frustum;
      this.stage.world.localToWorld(point.set(anchor[0], anchor[1], anchor[2])).project(this.stage.camera);
      const hidden = !object.visible || point.z > 1 || Math.abs(point.x) > 1.05 || Math.abs(point.y) > 1.05;
      const x = Math.round(((point.x + 1) / 2) * width);
      const y = Math.round(((1 - point.y) / 2) * height);
      frustum.placeLabel(hidden, x, y);
    }
  }

  /** A press that does not move is a click; anything else turns the view. */
  #listenForClicks() {
    const canvas = this.stage.canvas;
    let pressed = { x: 0, y: 0 };
    canvas.addEventListener("pointerdown", (event) => (pressed = { x: event.clientX, y: event.clientY }));
    canvas.addEventListener("pointerup", (event) => {
      if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > CLICK_TOLERANCE_PX) return;
      const box = canvas.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * 2 - 1;
      const y = 1 - ((event.clientY - box.top) / box.height) * 2;
      this.raycaster.setFromCamera(new Vector2(x, y), this.stage.camera);
      const shown = this.object.visible ? [...this.frusta.values()].filter((frustum) => frustum.object.visible) : [];
      const bodies = shown.map((frustum) => frustum.body);
      const hit = this.raycaster.intersectObjects(bodies, false)[0];
      if (hit) this.onPick(hit.object.name);
    });
  }
}

class Frustum {
  /** @param {CameraInfo} camera @param {number} depthM @param {() => void} onPick */
  constructor(camera, depthM, onPick) {
    const { apex, corners, roof } = outline(camera, depthM);
    const [a, b, c, d] = corners;
    this.lineMaterial = new LineBasicMaterial({ transparent: true });
    const segments = [apex, a, apex, b, apex, c, apex, d, a, b, b, c, c, d, d, a, roof[0], roof[1], roof[1], roof[2]];
    this.lines = new LineSegments(geometryOf(segments), this.lineMaterial);
    this.bodyMaterial = new MeshBasicMaterial({ transparent: true, opacity: 0.07, side: DoubleSide, depthWrite: false });
    const sides = [apex, b, a, apex, c, b, apex, d, c, apex, a, d, a, b, c, a, c, d];
    this.body = new Mesh(geometryOf(sides), this.bodyMaterial);
    this.body.name = camera.id;
    this.object = new Group();
    this.object.add(this.lines, this.body);
    this.anchor = roof[1];
    this.colour = "";
    this.labelX = NaN;
    this.labelY = NaN;
    this.label = document.createElement("button");
    this.label.type = "button";
    this.label.className = "camera-label";
    this.label.textContent = camera.id;
    this.label.title = `View from ${camera.id}`;
    this.label.setAttribute("aria-label", `View from ${camera.id}`);
    this.label.addEventListener("click", onPick);
  }

  /** @param {string} colour */
  setColour(colour) {
    if (colour === this.colour) return;
    this.colour = colour;
    this.lineMaterial.color.set(colour);
    this.bodyMaterial.color.set(colour);
  }

  /** Touch the page only where something moved: this runs with every picture. @param {boolean} hidden @param {number} x @param {number} y */
  placeLabel(hidden, x, y) {
    if (hidden !== this.label.hidden) this.label.hidden = hidden;
    if (hidden || (x === this.labelX && y === this.labelY)) return;
    this.labelX = x;
    this.labelY = y;
    this.label.style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`;
  }

  dispose() {
    this.label.remove();
    this.lines.geometry.dispose();
    this.body.geometry.dispose();
    this.lineMaterial.dispose();
    this.bodyMaterial.dispose();
  }
}

/**
 * The pyramid from a camera's centre through the corners of its picture, and a roof that shows which way is up.
 *
 * @param {CameraInfo} camera @param {number} depthM
 */
function outline(camera, depthM) {
  const at = planeOf(camera, depthM);
  // Integer pixels are pixel centres, so that the picture's border lies half a pixel outside them.
  const [left, top, far, bottom] = [-0.5, -0.5, camera.width - 0.5, camera.height - 0.5];
  const corners = [at(left, top), at(far, top), at(far, bottom), at(left, bottom)];
  const middle = (left + far) / 2;
  const roof = [
    at(middle - 0.3 * camera.width, top),
    at(middle, top - 0.18 * camera.height),
    at(middle + 0.3 * camera.width, top),
  ];
  return { apex: cameraPose(/** @type {any} */ (camera.calibration)).centre, corners, roof };
}

/** @param {number[][]} points */
function geometryOf(points) {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(points.flat()), 3));
  return geometry;
}
