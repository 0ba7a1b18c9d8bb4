// The kernels on the host; launched as engine/kernels/library.py launches them.
#include "cuda_on_host.h"
// After it, what of CUDA they are made of being defined.
#include "crops.cu"
#include "knn.cu"
#include "stpt.cu"

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

// Bytes of a block's weights.
extern "C" size_t host_stpt_size(int channels) {
  return channels == 96 ? sizeof(usthand::stpt::Block<96>) : sizeof(usthand::stpt::Block<128>);
}

extern "C" void host_stpt_start(const float* weights, const float* features, float* asked, int points, int channels) {
  using usthand::stpt::Block;
  on_host::launch(Dim3{static_cast<unsigned>(points), 1, 1}, Dim3{usthand::stpt::kThreads, 1, 1}, [=] {
    if (channels == 96) {
      usthand_stpt_start_96(reinterpret_cast<const Block<96>*>(weights), features, asked);
    } else {
      usthand_stpt_start_128(reinterpret_cast<const Block<128>*>(weights), features, asked);
    }
  });
}

// `tensors`: as `KernelLibrary.stpt_refine` takes them.
extern "C" void host_stpt_refine(float* const* tensors, int points, int anchors, int number, int count, int channels) {
  using usthand::stpt::Block;
  float* const* t = tensors;
  on_host::launch(Dim3{static_cast<unsigned>(points), 1, 1}, Dim3{usthand::stpt::kThreads, 1, 1}, [=] {
    if (channels == 96) {
      usthand_stpt_refine_96(reinterpret_cast<const Block<96>*>(t[0]), t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8],
                             t[9], t[10], t[11], anchors, number, count);
    } else {
      usthand_stpt_refine_128(reinterpret_cast<const Block<128>*>(t[0]), t[1], t[2], t[3], t[4], t[5], t[6], t[7],
                              t[8], t[9], t[10], t[11], anchors, number, count);
    }
  });
}
