// What the kernels that read maps have in common.
#pragma once

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

}  // namespace usthand::maps
