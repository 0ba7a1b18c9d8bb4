// The k nearest of P points for each query, nearest first, the lower index first among equals: the order of ONNX's TopK.
//
// One warp a query. Each lane keeps the distances of every 32nd point in registers. The k-th smallest of the lanes'
// smallest distances bounds the k-th smallest of all: what is not beyond it are few more than k points, mostly. If they
// are 32 at most, each lane takes one and counts how many are before it, which is its rank, and writes it there. If they
// are more, k times the warp finds the nearest of all, by two reductions, and the lane that had it looks for its next.
#pragma once

#include "knn_core.h"

namespace usthand {

constexpr unsigned kWarp = 0xffffffffu;

__device__ __forceinline__ uint32_t warp_min(uint32_t value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  return __reduce_min_sync(kWarp, value);
#else
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) {
    value = min(value, __shfl_xor_sync(kWarp, value, step));
  }
  return value;
#endif
}

// How many lanes have a smaller number, or the same and are before this one.
__device__ __forceinline__ int rank_among_lanes(uint32_t value, int lane) {
  int rank = 0;
#pragma unroll
  for (int other = 0; other < kLanes; ++other) {
    const uint32_t its = __shfl_sync(kWarp, value, other);
    rank += its < value || (its == value && other < lane);
  }
  return rank;
}

template <int GROUPS, int WIDTH, class Index>
__device__ __forceinline__ void nearest(const float* __restrict__ queries, const float* __restrict__ points,
                                        Index* __restrict__ indices, int queries_count, int points_count, int k) {
  __shared__ uint32_t near_distances[kLanes];
  __shared__ int near_indices[kLanes];
  const int query = blockIdx.x;
  const int lane = threadIdx.x;
  indices += static_cast<size_t>(query) * k;
  Share<GROUPS, WIDTH> share;
  share.fill(queries + 3 * static_cast<size_t>(query),
             points + 3 * static_cast<size_t>(query / queries_count) * points_count, points_count, lane);

  const int lane_rank = rank_among_lanes(share.best, lane);
  if (GROUPS * WIDTH == 1) {
    if (lane < points_count && lane_rank < k) indices[lane_rank] = static_cast<Index>(lane);
    return;
  }
  const uint32_t bound = warp_min(lane_rank == k - 1 ? share.best : kNothing);
  int count = 0;
#pragma unroll
  for (int g = 0; g < GROUPS; ++g) {
#pragma unroll
    for (int w = 0; w < WIDTH; ++w) {
      const bool near = share.distances[g][w] <= bound;
      const uint32_t which = __ballot_sync(kWarp, near);
      const int place = count + __popc(which & ((1u << lane) - 1u));
      if (near && place < kLanes) {
        near_distances[place] = share.distances[g][w];
        near_indices[place] = (g * WIDTH + w) * kLanes + lane;
      }
      count += __popc(which);
    }
  }
  if (count <= kLanes) {
    __syncwarp();
    // They lie by their indices, so that a lane that is before has the lower one.
    const int rank = rank_among_lanes(lane < count ? near_distances[lane] : kNothing, lane);
    if (lane < count && rank < k) indices[rank] = static_cast<Index>(near_indices[lane]);
    return;
  }

  // Lane r keeps the r-th index, so that the answer is one write.
  uint32_t kept = 0;
  for (int rank = 0; rank < k; ++rank) {
    const uint32_t smallest = warp_min(share.best);
    const uint32_t index = warp_min(share.best == smallest ? share.slot * kLanes + lane : kNothing);
    if (lane == rank) kept = index;
    if (lane == static_cast<int>(index % kLanes)) share.take();
  }
  if (lane < k) indices[lane] = static_cast<Index>(kept);
}

}  // namespace usthand
