/** A decoder for MessagePack, every type of the specification, for messages from the service. It does not encode. */

const MAX_DEPTH = 64;
const utf8 = new TextDecoder("utf-8");

/**
 * Decode one value that fills the whole buffer.
 *
 * Maps become objects without a prototype; `bin` becomes a view (`Uint8Array`) into the buffer; an extension becomes
 * `{type, data}`; 64-bit integers that a Number cannot hold exactly become BigInt.
 *
 * @param {ArrayBuffer | Uint8Array} buffer
 * @returns {any}
 * @throws {RangeError | TypeError} If the bytes are not one whole MessagePack value.
 */
export function decode(buffer) {
  const bytes = buffer instanceof Uint8Array ? buffer : new Uint8Array(buffer);
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.offset !== bytes.length) {
    throw new RangeError(`msgpack: ${bytes.length - reader.offset} bytes follow the value`);
  }
  return value;
}

class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.offset = 0;
  }

  /** Step over `count` bytes and return where they began. @param {number} count */
  skip(count) {
    const start = this.offset;
    if (start + count > this.bytes.length) {
      throw new RangeError(`msgpack: the message ends at byte ${this.bytes.length}, inside a value`);
    }
    this.offset = start + count;
    return start;
  }

  uint8() {
    return this.view.getUint8(this.skip(1));
  }

  uint16() {
    return this.view.getUint16(this.skip(2));
  }

  uint32() {
    return this.view.getUint32(this.skip(4));
  }

  /** @param {number} length */
  binary(length) {
    const start = this.skip(length);
    return this.bytes.subarray(start, start + length);
  }

  /** @param {number} length */
  string(length) {
    return utf8.decode(this.binary(length));
  }

  /** @param {number} length */
  extension(length) {
    const type = this.view.getInt8(this.skip(1));
    return { type, data: this.binary(length) };
  }

  /** @param {number} length @param {number} depth */
  array(length, depth) {
    const values = [];
    for (let i = 0; i < length; i++) values.push(this.value(depth));
    return values;
  }

  /** @param {number} length @param {number} depth */
  map(length, depth) {
    const values = Object.create(null);
    for (let i = 0; i < length; i++) {
      const key = this.value(depth);
      if (typeof key === "object" && key !== null) throw new TypeError("msgpack: a map key is not a scalar");
      values[String(key)] = this.value(depth);
    }
    return values;
  }

  /** @param {number} depth @returns {any} */
  value(depth) {
    if (depth > MAX_DEPTH) throw new RangeError(`msgpack: nested deeper than ${MAX_DEPTH}`);
    const inner = depth + 1;
    const code = this.uint8();
    if (code <= 0x7f) return code;
    if (code <= 0x8f) return this.map(code & 0x0f, inner);
    if (code <= 0x9f) return this.array(code & 0x0f, inner);
    if (code <= 0xbf) return this.string(code & 0x1f);
    if (code >= 0xe0) return code - 0x100;
    switch (code) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return this.binary(this.uint8());
      case 0xc5: return this.binary(this.uint16());
      case 0xc6: return this.binary(this.uint32());
      case 0xc7: return this.extension(this.uint8());
      case 0xc8: return this.extension(this.uint16());
      case 0xc9: return this.extension(this.uint32());
      case 0xca: return this.view.getFloat32(this.skip(4));
      case 0xcb: return this.view.getFloat64(this.skip(8));
      case 0xcc: return this.uint8();
      case 0xcd: return this.uint16();
      case 0xce: return this.uint32();
      case 0xcf: return narrow(this.view.getBigUint64(this.skip(8)));
      case 0xd0: return this.view.getInt8(this.skip(1));
      case 0xd1: return this.view.getInt16(this.skip(2));
      case 0xd2: return this.view.getInt32(this.skip(4));
      case 0xd3: return narrow(this.view.getBigInt64(this.skip(8)));
      case 0xd4: return this.extension(1);
      case 0xd5: return this.extension(2);
      case 0xd6: return this.extension(4);
      case 0xd7: return this.extension(8);
      case 0xd8: return this.extension(16);
      case 0xd9: return this.string(this.uint8());
      case 0xda: return this.string(this.uint16());
      case 0xdb: return this.string(this.uint32());
      case 0xdc: return this.array(this.uint16(), inner);
      case 0xdd: return this.array(this.uint32(), inner);
      case 0xde: return this.map(this.uint16(), inner);
      case 0xdf: return this.map(this.uint32(), inner);
      default: throw new TypeError(`msgpack: 0x${code.toString(16)} begins no value`);
    }
  }
}

/** @param {bigint} value @returns {number | bigint} */
function narrow(value) {
  const exact = value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER);
  return exact ? Number(value) : value;
}
