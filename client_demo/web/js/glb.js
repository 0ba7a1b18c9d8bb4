/** Reads a skinned mesh from a binary glTF file: just as much of the format as a hand takes. Pure. */

const MAGIC = 0x46546c67;
const JSON_CHUNK = 0x4e4f534a;
const BINARY_CHUNK = 0x004e4942;

/** Kinds of numbers by their code in the format. */
const NUMBERS = /** @type {Record<number, {array: any, bytes: number}>} */ ({
  5121: { array: Uint8Array, bytes: 1 },
  5123: { array: Uint16Array, bytes: 2 },
  5125: { array: Uint32Array, bytes: 4 },
  5126: { array: Float32Array, bytes: 4 },
});
const COLUMNS = /** @type {Record<string, number>} */ ({ SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4, MAT4: 16 });

/**
 * @typedef {object} SkinnedModel
 * @property {Float32Array} positions 3 a vertex, metres.
 * @property {Float32Array} normals
 * @property {Uint8Array | Uint16Array} joints 4 a vertex: which joints move it.
 * @property {Float32Array} weights 4 a vertex: how much.
 * @property {Uint16Array | Uint32Array} index
 * @property {string[]} jointNames
 * @property {Float32Array} inverseBind 16 a joint, column after column: from the mesh to the joint's own axes at rest.
 */

/**
 * @param {ArrayBuffer} file
 * @returns {SkinnedModel} The only mesh and the only skin of the file.
 * @throws {Error} If the file is not what is expected here.
 */
export function readSkinnedModel(file) {
  const { gltf, binary } = chunks(file);
  if (gltf.meshes?.length !== 1 || gltf.meshes[0].primitives.length !== 1 || gltf.skins?.length !== 1) {
    throw new Error("glb: expected one mesh of one part, and one skin");
  }
  if (gltf.extensionsRequired?.length) throw new Error(`glb: needs the extension ${gltf.extensionsRequired[0]}`);
  const [part] = gltf.meshes[0].primitives;
  const [skin] = gltf.skins;
  const attribute = (/** @type {string} */ name) => {
    if (part.attributes[name] === undefined) throw new Error(`glb: the mesh has no ${name}`);
    return numbers(gltf, binary, part.attributes[name]);
  };
  return {
    positions: attribute("POSITION"),
    normals: attribute("NORMAL"),
    joints: attribute("JOINTS_0"),
    weights: attribute("WEIGHTS_0"),
    index: numbers(gltf, binary, part.indices),
    jointNames: skin.joints.map((/** @type {number} */ node) => String(gltf.nodes[node].name)),
    inverseBind: numbers(gltf, binary, skin.inverseBindMatrices),
  };
}

/** @param {ArrayBuffer} file @returns {{gltf: any, binary: ArrayBuffer}} */
function chunks(file) {
  const view = new DataView(file);
  if (file.byteLength < 20 || view.getUint32(0, true) !== MAGIC) throw new Error("glb: this is no binary glTF file");
  if (view.getUint32(4, true) !== 2) throw new Error(`glb: version ${view.getUint32(4, true)} of the format; 2 is expected`);
  let gltf = null;
  let binary = new ArrayBuffer(0);
  for (let offset = 12; offset + 8 <= file.byteLength; ) {
    const length = view.getUint32(offset, true);
    const kind = view.getUint32(offset + 4, true);
    const content = file.slice(offset + 8, offset + 8 + length);
    if (content.byteLength < length) throw new Error("glb: the file ends inside a chunk");
    if (kind === JSON_CHUNK) gltf = JSON.parse(new TextDecoder().decode(content));
    else if (kind === BINARY_CHUNK) binary = content;
    offset += 8 + length;
  }
  if (gltf === null) throw new Error("glb: there is no description in the file");
  return { gltf, binary };
}

/** @param {any} gltf @param {ArrayBuffer} binary @param {number} number Of the accessor. @returns {any} A typed array. */
function numbers(gltf, binary, number) {
  const accessor = gltf.accessors?.[number];
  const kind = NUMBERS[accessor?.componentType];
  const columns = COLUMNS[accessor?.type];
  if (!kind || !columns || accessor.sparse) throw new Error(`glb: numbers of a kind that is not read here (${number})`);
  const bytes = gltf.bufferViews[accessor.bufferView];
  if (bytes.byteStride && bytes.byteStride !== columns * kind.bytes) throw new Error("glb: interleaved numbers are not read here");
  const start = (bytes.byteOffset ?? 0) + (accessor.byteOffset ?? 0);
  // Copied: a typed array must begin at a multiple of its numbers' size, and the file need not be kept.
  return new kind.array(binary.slice(start, start + accessor.count * columns * kind.bytes));
}
