// The k nearest of P points for each query, nearest first, the lower index first among equals: the order of ONNX's TopK.
//
// One warp a query. Each lane keeps the distances of every 32nd point in registers and knows its nearest; k times the
// warp finds the nearest of these, by two reductions, and the lane that had it looks for its next. Lane r keeps the r-th
// index, so that the answer is one write. Nothing is shared, and nothing is synchronised but the warp.
//
// Launch: grid (B Q, 1, 1), block (32, 1, 1), no shared memory; all pointers on the device, queries float32 (B, Q, 3),
// points float32 (B, P, 3), indices (B, Q, k), contiguous. Kernels differ in how many points they hold, which is their
// name's first number (32, 384, 672 or 1344: 1, 12, 21 or 42 a lane), and in the bits of an index, which is the second.
// Any that holds P points does; the smallest is the fastest. 1 <= k <= 32 and k <= P.

#include "knn_core.h"

namespace usthand {

__device__ __forceinline__ uint32_t warp_min(uint32_t value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_min_sync(0xffffffffu, value);
#else
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) {
    value = min(value, __shfl_xor_sync(0xffffffffu, value, step));
  }
  return value;
#endif
}

template <int GROUPS, int WIDTH, class Index>
__device__ __forceinline__ void nearest(const float* __restrict__ queries, const float* __restrict__ points,
                                        Index* __restrict__ indices, int queries_count, int points_count, int k) {
  const int query = blockIdx.x;
  const int lane = threadIdx.x;
  Share<GROUPS, WIDTH> share;
  share.fill(queries + 3 * static_cast<size_t>(query),
             points + 3 * static_cast<size_t>(query / queries_count) * points_count, points_count, lane);
  uint32_t kept = 0;
  for (int rank = 0; rank < k; ++rank) {
    const uint32_t nearest_of_all = warp_min(share.best);
    const uint32_t index = warp_min(share.best == nearest_of_all ? share.slot * kLanes + lane : kNothing);
    if (lane == rank) kept = index;
    if (lane == index % kLanes) share.take();
  }
  if (lane < k) indices[static_cast<size_t>(query) * k + lane] = static_cast<Index>(kept);
}

}  // namespace usthand

#define USTHAND_KNN(POINTS, GROUPS, WIDTH, BITS, INDEX)                                                             \
  static_assert(POINTS == usthand::kLanes * GROUPS * WIDTH, "a kernel's name says how many points it holds");       \
  extern "C" __global__ void __launch_bounds__(32)                                                                  \
      usthand_knn_##POINTS##_i##BITS(const float* queries, const float* points, INDEX* indices, int queries_count,  \
                                     int points_count, int k) {                                                     \
    usthand::nearest<GROUPS, WIDTH, INDEX>(queries, points, indices, queries_count, points_count, k);               \
  }

USTHAND_KNN(32, 1, 1, 32, int)
USTHAND_KNN(384, 2, 6, 32, int)
USTHAND_KNN(672, 3, 7, 32, int)
USTHAND_KNN(1344, 6, 7, 32, int)
USTHAND_KNN(32, 1, 1, 64, long long)
USTHAND_KNN(384, 2, 6, 64, long long)
USTHAND_KNN(672, 3, 7, 64, long long)
USTHAND_KNN(1344, 6, 7, 64, long long)
