// The kernels on the host; launched as engine/kernels/library.py launches them.
#include "cuda_on_host.h"
// After it, what of CUDA they are made of being defined.
#include "crops.cu"
#include "interaction.cu"
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
  on_host::launch(Dim3{static_cast<unsigned>(points), 1, 1}, Dim3{usthand::kThreads, 1, 1}, [=] {
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
  on_host::launch(Dim3{static_cast<unsigned>(points), 1, 1}, Dim3{usthand::kThreads, 1, 1}, [=] {
    if (channels == 96) {
      usthand_stpt_refine_96(reinterpret_cast<const Block<96>*>(t[0]), t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8],
                             t[9], t[10], t[11], anchors, number, count);
    } else {
      usthand_stpt_refine_128(reinterpret_cast<const Block<128>*>(t[0]), t[1], t[2], t[3], t[4], t[5], t[6], t[7],
                              t[8], t[9], t[10], t[11], anchors, number, count);
    }
  });
}

// Bytes of a round's weights, or of the last MLP's.
extern "C" size_t host_interaction_size(int channels, bool last) {
  using namespace usthand::interaction;
  return channels == 128 ? (last ? sizeof(Last<128>) : sizeof(Round<128>))
                         : (last ? sizeof(Last<256>) : sizeof(Round<256>));
}

// All rounds and the MLP, as engine/kernels/interaction_op.py launches them. `tensors`: weights of the rounds and the
// last ones, tokens, confidence, view mask; convolved, asked, attended and fused are written.
extern "C" void host_interaction(float* const* tensors, int hands, int views, int rounds, int channels) {
  using namespace usthand::interaction;
  float* const* t = tensors;
  const unsigned tiles = hands * views * kTiles, threes = hands * views * kJoints / kQueries;
  const Dim3 block{usthand::kThreads, 1, 1};
  const bool narrow = channels == 128;
  for (int number = 0; number < rounds; ++number) {
    const float* tokens = number == 0 ? t[2] : t[7];
    on_host::launch(Dim3{tiles, 3, 1}, block, [=] {
      narrow ? usthand_interaction_convolve_128(reinterpret_cast<const Round<128>*>(t[0]), tokens, t[3], t[5], t[6], number)
             : usthand_interaction_convolve_256(reinterpret_cast<const Round<256>*>(t[0]), tokens, t[3], t[5], t[6], number);
    });
    on_host::launch(Dim3{threes, 1, 1}, block, [=] {
      narrow ? usthand_interaction_attend_128(reinterpret_cast<const Round<128>*>(t[0]), t[5], t[6], t[4], t[7], number, views)
             : usthand_interaction_attend_256(reinterpret_cast<const Round<256>*>(t[0]), t[5], t[6], t[4], t[7], number, views);
    });
  }
  on_host::launch(Dim3{tiles, 1, 1}, block, [=] {
    narrow ? usthand_interaction_finish_128(reinterpret_cast<const Last<128>*>(t[1]), t[7], t[8])
           : usthand_interaction_finish_256(reinterpret_cast<const Last<256>*>(t[1]), t[7], t[8]);
  });
}
