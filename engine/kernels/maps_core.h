// What the kernels that read maps have in common. Between cells maps are interpolated; outside they are zero, as
// torch.nn.functional.grid_sample has it with align_corners=False.
#pragma once

#include <cmath>

namespace usthand::maps {

__device__ __forceinline__ float dot(const float4& a, const float4& b) {
  return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}

// The sum over a warp, in every lane.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

// The largest number of a warp, in every lane.
__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, step));
  return value;
}

// Where the middle of a cell lies along a side of so many, in crop coordinates.
__device__ __forceinline__ float cell_center(int cell, int cells) {
  return static_cast<float>(2 * cell + 1) / static_cast<float>(cells) - 1.0f;
}

// The two cells along a side that a coordinate lies between, and how much each counts: nothing if it is outside.
struct Between {
  int low, high;
  float low_share, high_share;
};

__device__ __forceinline__ Between between_cells(float coordinate, int cells) {
  const float place = ((coordinate + 1.0f) * static_cast<float>(cells) - 1.0f) * 0.5f;
  const float low = floorf(place);
  // Far outside, or no number: a whole number may not hold it.
  const bool near = low >= -1.0f && low < static_cast<float>(cells);
  const int cell = near ? static_cast<int>(low) : -1;
  const float share = place - low;
  return Between{max(cell, 0), min(cell + 1, cells - 1), near && cell >= 0 ? 1.0f - share : 0.0f,
                 near && cell + 1 < cells ? share : 0.0f};
}

__device__ __forceinline__ float4 weighted(float share, const float4& value) {
  return float4{share * value.x, share * value.y, share * value.z, share * value.w};
}

__device__ __forceinline__ void add(float4& sum, float share, const float4& value) {
  sum.x += share * value.x;
  sum.y += share * value.y;
  sum.z += share * value.z;
  sum.w += share * value.w;
}

// Four channels of a map at a place; `map` is at these channels of the map's first cell.
__device__ __forceinline__ float4 sampled(const float4* __restrict__ map, const Between& x, const Between& y, int width,
                                          int pieces) {
  const float4 a = __ldg(map + (y.low * width + x.low) * pieces);
  const float4 b = __ldg(map + (y.low * width + x.high) * pieces);
  const float4 c = __ldg(map + (y.high * width + x.low) * pieces);
  const float4 d = __ldg(map + (y.high * width + x.high) * pieces);
  float4 sum = weighted(y.low_share * x.low_share, a);
  add(sum, y.low_share * x.high_share, b);
  add(sum, y.high_share * x.low_share, c);
  add(sum, y.high_share * x.high_share, d);
  return sum;
}

}  // namespace usthand::maps
