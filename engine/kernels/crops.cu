// Crops out of pictures: undistorted by the nodes, mirrored for left hands, BGR to RGB, as engine/crops.py does on a CPU.
//
// A thread makes four pixels of a row, which are three words of output. Grid: (size / 32, size / 8, crops) blocks of
// 8 x 8 threads; `size` is a multiple of 32.

#include "crops_core.h"

extern "C" __global__ void __launch_bounds__(64)
    usthand_sample_crops(const uint8_t* __restrict__ pixels, const usthand::Place* __restrict__ places,
                         const float* __restrict__ nodes, uint32_t* __restrict__ crops, int size) {
  const int crop = blockIdx.z;
  const int column = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  const int along = size / usthand::kNodeSpacing + 1;
  const usthand::Place place = places[crop];
  nodes += static_cast<size_t>(crop) * along * along * 2;
  alignas(4) uint8_t rgb[12];
#pragma unroll
  for (int i = 0; i < 4; ++i) usthand::sample(pixels, place, nodes, size, column + i, row, rgb + 3 * i);
  uint32_t* out = crops + ((static_cast<size_t>(crop) * size + row) * size + column) * 3 / 4;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    out[i] = rgb[4 * i] | rgb[4 * i + 1] << 8 | rgb[4 * i + 2] << 16 | static_cast<uint32_t>(rgb[4 * i + 3]) << 24;
  }
}
