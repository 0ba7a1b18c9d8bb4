// A pixel of a crop, apart from who computes which: for the GPU, and for tests that compile it for the host.
#pragma once

#include <cstdint>
#include <cmath>

#ifdef __CUDACC__
#define USTHAND_BOTH __host__ __device__ __forceinline__
#else
#define USTHAND_BOTH inline
#endif

namespace usthand {

constexpr int kNodeSpacing = 16;

// `PLACE` of engine/kernels/places.py.
struct Place {
  int64_t offset;
  int32_t stride, width, height, x0, y0, mirrored, valid, source_stride;
  int64_t source;
};
static_assert(sizeof(Place) == 48, "engine/kernels/places.py says 48 bytes");

// The three channels of a rectangle's pixel, blue first; black outside of it.
struct Colour {
  float blue, green, red;
};

USTHAND_BOTH Colour at(const uint8_t* pixels, const Place& place, int x, int y) {
  if (x < 0 || y < 0 || x >= place.width || y >= place.height) return Colour{0.0f, 0.0f, 0.0f};
  const uint8_t* pixel = pixels + place.offset + static_cast<int64_t>(y) * place.stride + 3 * x;
  return Colour{static_cast<float>(pixel[0]), static_cast<float>(pixel[1]), static_cast<float>(pixel[2])};
}

USTHAND_BOTH float between(float a, float b, float c, float d, float right, float down) {
  const float upper = a + (b - a) * right;
  const float lower = c + (d - c) * right;
  return upper + (lower - upper) * down;
}

USTHAND_BOTH uint8_t grey(float value) {
  // Between 0 and 255 by what it is made of; halves to even, as OpenCV rounds.
  return static_cast<uint8_t>(rintf(value));
}

// Pixel (column, row) of a crop of `size` pixels, red first.
USTHAND_BOTH void sample(const uint8_t* pixels, const Place& place, const float* nodes, int size, int column, int row,
                         uint8_t* rgb) {
  rgb[0] = rgb[1] = rgb[2] = 0;
  if (!place.valid) return;
  const int along = (size + kNodeSpacing - 1) / kNodeSpacing + 1;
  const int from = place.mirrored ? size - 1 - column : column;
  const float* node = nodes + 2 * (along * (row / kNodeSpacing) + from / kNodeSpacing);
  const float right = static_cast<float>(from % kNodeSpacing) / kNodeSpacing;
  const float down = static_cast<float>(row % kNodeSpacing) / kNodeSpacing;
  const float* below = node + 2 * along;
  const float x = between(node[0], node[2], below[0], below[2], right, down);
  const float y = between(node[1], node[3], below[1], below[3], right, down);
  // Far outside of the rectangle nothing is sampled, and a whole number may not hold it.
  if (!(fabsf(x) < 1e6f && fabsf(y) < 1e6f)) return;
  const float left = floorf(x), top = floorf(y);
  const int u = static_cast<int>(left) - place.x0, v = static_cast<int>(top) - place.y0;
  const Colour a = at(pixels, place, u, v), b = at(pixels, place, u + 1, v);
  const Colour c = at(pixels, place, u, v + 1), d = at(pixels, place, u + 1, v + 1);
  rgb[0] = grey(between(a.red, b.red, c.red, d.red, x - left, y - top));
  rgb[1] = grey(between(a.green, b.green, c.green, d.green, x - left, y - top));
  rgb[2] = grey(between(a.blue, b.blue, c.blue, d.blue, x - left, y - top));
}

}  // namespace usthand
