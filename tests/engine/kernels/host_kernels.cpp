// The kernels' cores on the host: 32 lanes one after the other where a warp has them side by side.
#include "crops_core.h"
#include "knn_core.h"

using namespace usthand;

template <int GROUPS, int WIDTH>
static void nearest(const float* query, const float* points, int points_count, int k, int* indices) {
  static Share<GROUPS, WIDTH> lanes[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane].fill(query, points, points_count, lane);
  for (int rank = 0; rank < k; ++rank) {
    uint32_t smallest = kNothing, index = kNothing;
    for (int lane = 0; lane < kLanes; ++lane) smallest = lanes[lane].best < smallest ? lanes[lane].best : smallest;
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint32_t here = lanes[lane].slot * kLanes + lane;
      if (lanes[lane].best == smallest && here < index) index = here;
    }
    indices[rank] = static_cast<int>(index);
    lanes[index % kLanes].take();
  }
}

// `held`: how many points the kernel holds, which chooses it.
extern "C" void host_knn(const float* queries, const float* points, int* indices, int batch, int queries_count,
                         int points_count, int k, int held) {
  for (int query = 0; query < batch * queries_count; ++query) {
    const float* from = queries + 3 * query;
    const float* to = points + 3 * (query / queries_count) * points_count;
    int* out = indices + query * k;
    if (held == 32) nearest<1, 1>(from, to, points_count, k, out);
    if (held == 384) nearest<2, 6>(from, to, points_count, k, out);
    if (held == 672) nearest<3, 7>(from, to, points_count, k, out);
    if (held == 1344) nearest<6, 7>(from, to, points_count, k, out);
  }
}

extern "C" void host_crops(const uint8_t* pixels, const Place* places, const float* nodes, uint8_t* crops, int count,
                           int size) {
  const int along = size / kNodeSpacing + 1;
  for (int crop = 0; crop < count; ++crop) {
    for (int row = 0; row < size; ++row) {
      for (int column = 0; column < size; ++column) {
        uint8_t* rgb = crops + 3 * ((static_cast<size_t>(crop) * size + row) * size + column);
        sample(pixels, places[crop], nodes + 2 * along * along * crop, size, column, row, rgb);
      }
    }
  }
}
