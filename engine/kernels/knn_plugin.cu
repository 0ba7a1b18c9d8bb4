// The nearest-points kernels as TensorRT launches them from a plan: their arguments in its order, which is inputs, numbers,
// outputs. Else they are those of knn.cu, with indices of 32 bits.

#include "knn_warp.h"

#define USTHAND_KNN_PLUGIN(POINTS, GROUPS, WIDTH)                                                                   \
  static_assert(POINTS == usthand::kLanes * GROUPS * WIDTH, "a kernel's name says how many points it holds");       \
  extern "C" __global__ void __launch_bounds__(32)                                                                  \
      usthand_knn_##POINTS##_plugin(const float* queries, const float* points, int queries_count, int points_count, \
                                    int k, int* indices) {                                                          \
    usthand::nearest<GROUPS, WIDTH, int>(queries, points, indices, queries_count, points_count, k);                 \
  }

USTHAND_KNN_PLUGIN(32, 1, 1)
USTHAND_KNN_PLUGIN(384, 2, 6)
USTHAND_KNN_PLUGIN(672, 3, 7)
USTHAND_KNN_PLUGIN(1344, 6, 7)
