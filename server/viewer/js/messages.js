/** From a decoded message to the page's own type: one place that knows the wire format's names. */

/** @typedef {import("./types.js").Hand} Hand */
/** @typedef {import("./types.js").HandsMessage} HandsMessage */

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Read numbers that are either `bin` of little-endian float32 (msgpack) or nested lists (json).
 *
 * @param {Uint8Array | any[] | null | undefined} source Bytes may be kept: they must not be written to later.
 * @returns {Float32Array | null}
 */
export function floats(source) {
  if (source === null || source === undefined) return null;
  if (!(source instanceof Uint8Array)) return Float32Array.from(source.flat(Infinity));
  const count = source.byteLength >> 2;
  if (!LITTLE_ENDIAN) {
    const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
    return Float32Array.from({ length: count }, (_, i) => view.getFloat32(4 * i, true));
  }
  // The bytes of a message lie at any offset, and a Float32Array only at a multiple of four.
  if (source.byteOffset % 4 === 0) return new Float32Array(source.buffer, source.byteOffset, count);
  return new Float32Array(source.slice(0, 4 * count).buffer);
}

/**
 * @param {any} raw A decoded message of type `hands`.
 * @returns {HandsMessage}
 */
export function readHands(raw) {
  const frameSet = raw.frame_set ?? {};
  return {
    seq: Number(raw.seq ?? 0),
    ended: raw.state === "ended",
    predictedMs: Number(raw.predicted_ms ?? 0),
    skewMs: typeof frameSet.skew_ms === "number" ? frameSet.skew_ms : null,
    views: frameSet.views ?? [],
    stampsNs: raw.stamps_ns ?? {},
    calibrationId: raw.calibration_id ?? null,
    modelId: raw.model_id ?? null,
    hands: (raw.hands ?? []).map(readHand).filter((/** @type {Hand | null} */ hand) => hand !== null),
  };
}

/**
 * @param {any} raw
 * @returns {Hand | null} Null if the hand has no joints to draw.
 */
function readHand(raw) {
  const joints = floats(raw.joints);
  if (joints === null || joints.length === 0) return null;
  return {
    id: Number(raw.id ?? 0),
    side: raw.side === "left" ? "left" : "right",
    confidence: Number(raw.confidence ?? 0),
    joints,
    vertices: floats(raw.vertices),
    covariance: floats(raw.covariance_mm2),
    orientations: floats(raw.orientations),
    reprojectionPx: new Map(Object.entries(raw.reprojection_px ?? {})),
  };
}

/**
 * Milliseconds from one of the service's stamps to another.
 *
 * @param {number | bigint | undefined} fromNs
 * @param {number | bigint | undefined} toNs
 * @returns {number | null} Null if either stamp is missing.
 */
export function elapsedMs(fromNs, toNs) {
  if (fromNs === undefined || fromNs === null || toNs === undefined || toNs === null) return null;
  // Stamps beyond 2^53 come as BigInt; a difference of two of a kind is exact either way.
  if (typeof fromNs === "number" && typeof toNs === "number") return (toNs - fromNs) / 1e6;
  return Number(BigInt(toNs) - BigInt(fromNs)) / 1e6;
}
