// The kernels on the host; launched as engine/kernels/library.py launches them.
#include "cuda_on_host.h"
// After it, what of CUDA they are made of being defined.
#include "crops.cu"
#include "knn.cu"

using Knn = void (*)(const float*, const float*, int*, int, int, int);

// `held`: how many points the kernel holds, which chooses it.
extern "C" void host_knn(const float* queries, const float* points, int* indices, int batch, int queries_count,
                         int points_count, int k, int held) {
  const Knn kernel = held == 32    ? usthand_knn_32_i32
                     : held == 384 ? usthand_knn_384_i32
                     : held == 672 ? usthand_knn_672_i32
                                   : usthand_knn_1344_i32;
  on_host::launch(Dim3{static_cast<unsigned>(batch * queries_count), 1, 1}, Dim3{32, 1, 1},
                  [=] { kernel(queries, points, indices, queries_count, points_count, k); });
}

extern "C" void host_crops(const uint8_t* pixels, const usthand::Place* places, const float* nodes, uint8_t* crops,
                           int count, int size) {
  const unsigned side = size;
  on_host::launch(Dim3{side / 32, side / 8, static_cast<unsigned>(count)}, Dim3{8, 8, 1},
                  [=] { usthand_sample_crops(pixels, places, nodes, reinterpret_cast<uint32_t*>(crops), size); });
}
