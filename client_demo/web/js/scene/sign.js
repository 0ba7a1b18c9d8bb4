/** A line of words in the room, for a headset that shows nothing else of the page. */

import { CanvasTexture, Mesh, MeshBasicMaterial, PlaneGeometry, SRGBColorSpace } from "three";

const WIDTH_PX = 1024;
const HEIGHT_PX = 96;
const WIDTH_M = 0.42;

export class Sign {
  constructor() {
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = [WIDTH_PX, HEIGHT_PX];
    this.texture = new CanvasTexture(this.canvas);
    this.texture.colorSpace = SRGBColorSpace;
    const material = new MeshBasicMaterial({ map: this.texture, transparent: true, depthWrite: false });
    this.object = new Mesh(new PlaneGeometry(WIDTH_M, (WIDTH_M * HEIGHT_PX) / WIDTH_PX), material);
    this.object.visible = false;
    this.words = "";
  }

  /** @param {string} words */
  write(words) {
    if (words === this.words) return;
    this.words = words;
    const context = this.canvas.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, WIDTH_PX, HEIGHT_PX);
    context.fillStyle = "rgb(18 23 26 / 78%)";
    context.beginPath();
    context.roundRect(0, 0, WIDTH_PX, HEIGHT_PX, 24);
    context.fill();
    context.fillStyle = "#e4e9ec";
    context.font = "44px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(words, WIDTH_PX / 2, HEIGHT_PX / 2, WIDTH_PX - 48);
    this.texture.needsUpdate = true;
  }

  /** Stand somewhere, turned towards an eye. @param {[number, number, number]} place @param {[number, number, number]} eye */
  stand(place, eye) {
    this.object.position.set(...place);
    this.object.lookAt(...eye);
  }
}
