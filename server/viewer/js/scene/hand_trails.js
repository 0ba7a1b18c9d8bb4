/** One hand's trails: ribbons behind the fingertips that turn towards the eye, thin out and fade with time. */

import { BufferAttribute, BufferGeometry, DoubleSide, DynamicDrawUsage, Mesh, ShaderMaterial } from "three";

import { TrailHistory, tips } from "../trail_history.js";
import { fingerColour } from "./hand_colours.js";

const SPAN_MS = 1200;
const PLACES = 48;
const HALF_WIDTH_M = 0.0018;

const VERTEX = `
  attribute vec3 along;
  attribute float across;
  attribute float freshness;
  attribute vec3 tint;
  varying vec4 vColour;
  void main() {
    vec4 seen = modelViewMatrix * vec4(position, 1.0);
    vec2 direction = (modelViewMatrix * vec4(along, 0.0)).xy;
    float span = length(direction);
    vec2 side = span > 1e-9 ? vec2(-direction.y, direction.x) / span : vec2(0.0);
    seen.xy += side * across * ${HALF_WIDTH_M} * freshness;
    vColour = vec4(tint, 0.85 * freshness * freshness);
    gl_Position = projectionMatrix * seen;
  }`;

const FRAGMENT = `
  varying vec4 vColour;
  void main() {
    gl_FragColor = vColour;
    #include <colorspace_fragment>
  }`;

/** For all hands there will be: with a hand's own its shaders would go too, and the next hand would wait for new ones. */
const MATERIAL = new ShaderMaterial({
  vertexShader: VERTEX,
  fragmentShader: FRAGMENT,
  transparent: true,
  depthWrite: false,
  side: DoubleSide,
});

export class HandTrails {
  /** @param {string[]} jointNames @param {number[]} parents */
  constructor(jointNames, parents) {
    const joints = tips(parents);
    this.history = new TrailHistory(joints, SPAN_MS, PLACES);
    const vertices = 2 * PLACES * joints.length;
    const attribute = (/** @type {number} */ size) => new BufferAttribute(new Float32Array(size * vertices), size);
    this.positions = attribute(3).setUsage(DynamicDrawUsage);
    this.along = attribute(3).setUsage(DynamicDrawUsage);
    this.freshness = attribute(1).setUsage(DynamicDrawUsage);
    const [across, tint] = [attribute(1), attribute(3)];
    const index = [];
    for (let j = 0; j < joints.length; j++) {
      const colour = fingerColour(jointNames[joints[j]] ?? "");
      for (let i = 0; i < PLACES; i++) {
        const vertex = 2 * (PLACES * j + i);
        across.setX(vertex, -1).setX(vertex + 1, 1);
        tint.setXYZ(vertex, colour.r, colour.g, colour.b).setXYZ(vertex + 1, colour.r, colour.g, colour.b);
        if (i > 0) index.push(vertex - 2, vertex - 1, vertex, vertex, vertex - 1, vertex + 1);
      }
    }
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", this.positions);
    geometry.setAttribute("along", this.along);
    geometry.setAttribute("freshness", this.freshness);
    geometry.setAttribute("across", across);
    geometry.setAttribute("tint", tint);
    geometry.setIndex(index);
    this.object = new Mesh(geometry, MATERIAL);
    this.object.frustumCulled = false;
    this.object.renderOrder = 3;
  }

  /** @param {Float32Array} joints @param {number} atMs When the hand was there. */
  add(joints, atMs) {
    this.history.add(atMs, joints);
    this.#write(atMs);
  }

  clear() {
    this.history.clear();
  }

  /** @param {number} nowMs */
  #write(nowMs) {
    const { history } = this;
    const { places } = history;
    const [positions, along, freshness] = [this.positions.array, this.along.array, this.freshness.array];
    for (let joint = 0; joint < history.joints.length; joint++) {
      for (let place = 0; place < PLACES; place++) {
        // The ribbon has always as many places; those that are missing lie on the oldest and cover nothing.
        const i = place - (PLACES - history.count);
        const here = history.offset(i, joint);
        const before = history.offset(i - 1, joint);
        const after = history.offset(i + 1, joint);
        const fresh = i < 0 ? 0 : history.freshness(i, nowMs);
        for (let side = 0; side < 2; side++) {
          const vertex = 2 * (PLACES * joint + place) + side;
          freshness[vertex] = fresh;
          for (let k = 0; k < 3; k++) {
            positions[3 * vertex + k] = places[here + k];
            along[3 * vertex + k] = i < 0 ? 0 : places[after + k] - places[before + k];
          }
        }
      }
    }
    for (const attribute of [this.positions, this.along, this.freshness]) attribute.needsUpdate = true;
  }

  dispose() {
    this.object.geometry.dispose();
  }
}
