// The nearest-points kernels as the project launches them; what they do is in knn_warp.h.
//
// Launch: grid (B Q, 1, 1), block (32, 1, 1), no dynamic shared memory; all pointers on the device, queries float32 (B, Q, 3),
// points float32 (B, P, 3), indices (B, Q, k), contiguous. Kernels differ in how many points they hold, which is their
// name's first number (32, 384, 672 or 1344: 1, 12, 21 or 42 a lane), and in the bits of an index, which is the second.
// Any that holds P points does; the smallest is the fastest. 1 <= k <= 32 and k <= P.

#include "knn_warp.h"

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
