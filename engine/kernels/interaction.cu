// Confidence-aware feature interaction (sec. 3.2): a round of adaptive GCN and CASA in two kernels, and the MLP that makes
// F_fuse in a third, for the joints of all views of some hands. All is float32.
//
// Weights lie as `Round` and `Last` say, matrices as (in, out); engine/kernels/layouts.py says the same.

#include "block_math.h"

namespace usthand {
namespace interaction {

constexpr int kJoints = 21;
constexpr int kHeads = 4;
constexpr int kTile = 7;                      // joints of a view that a block takes at a time
constexpr int kTiles = kJoints / kTile;       // of a view
constexpr int kQueries = 3;                   // tokens that a block of the attention takes at a time
constexpr int kMostTokens = 8 * kJoints;      // of a hand
constexpr int kMixColumns = 24;               // 21 joints, what they sum up to, and two that are not used

template <int C>
struct Round {
  float mix[kJoints * kMixColumns];
  Norm<C> graph_norm;
  Linear<C, C> graph;
  Norm<C> norm;
  Linear<C, 3 * C> qkv;
  float from_confidence[3 * C];
  Linear<C, C> out;
};

template <int C>
struct Last {
  Norm<C> norm;
  Linear<C, C> hidden;
  Linear<C, C> out;
};

// Graph convolution of a view's joints, and what its queries, keys or values (blockIdx.y) are. A block has a third of the
// joints; it mixes their normalised features along the bones first, which is the same as mixing after the product.
template <int C>
__device__ __forceinline__ void convolve(const Round<C>& round, const float* __restrict__ tokens,
                                         const float* __restrict__ confidence, float* __restrict__ convolved,
                                         float* __restrict__ asked) {
  alignas(16) __shared__ float work[4 * kTile * kThreads];
  alignas(16) __shared__ float rows[kTile * C];
  alignas(16) __shared__ float moved[kTile * C];
  static_assert(kJoints * C <= 4 * kTile * kThreads, "a view's joints lie where the partial sums will");
  ask_for(&round, sizeof(Round<C>));
  const int part = blockIdx.y;
  const int first_joint = blockIdx.x % kTiles * kTile;
  const int view = blockIdx.x / kTiles * kJoints;  // its first token, of all hands'
  const int first = view + first_joint;
  const float* own = tokens + static_cast<size_t>(first) * C;

  layer_norm<C>(tokens + static_cast<size_t>(view) * C, round.graph_norm, work, kJoints);
  for (int i = threadIdx.x; i < kTile * C; i += kThreads) {
    const float* mix = round.mix + (first_joint + i / C) * kMixColumns;
    float sum = 0.0f;
#pragma unroll
    for (int joint = 0; joint < kJoints; ++joint) sum = fmaf(__ldg(mix + joint), work[joint * C + i % C], sum);
    rows[i] = sum;
  }
  __syncthreads();
  rows_product<C, C, kTile, kTile>(round.graph.weight, C, nullptr, rows, work, [&](int row, int column, const float4& sums) {
    const float4 bias = load4(round.graph.bias + column);
    const float all = __ldg(round.mix + (first_joint + row) * kMixColumns + kJoints);
    const float4 token = *reinterpret_cast<const float4*>(own + row * C + column);
    const float4 change =
        relu4(float4{fmaf(all, bias.x, sums.x), fmaf(all, bias.y, sums.y), fmaf(all, bias.z, sums.z),
                     fmaf(all, bias.w, sums.w)});
    const float4 sum{token.x + change.x, token.y + change.y, token.z + change.z, token.w + change.w};
    store4(moved + row * C + column, sum);
    if (part == 0) store4(convolved + static_cast<size_t>(first + row) * C + column, sum);
  });
  layer_norm<C>(moved, round.norm, rows, kTile);
  const int offset = part * C;
  rows_product<C, C, kTile, kTile>(
      round.qkv.weight + offset, 3 * C, round.qkv.bias + offset, rows, work, [&](int row, int column, const float4& sums) {
        const float4 slope = load4(round.from_confidence + offset + column);
        const float sure = confidence[first + row];
        *reinterpret_cast<float4*>(asked + static_cast<size_t>(first + row) * 3 * C + offset + column) =
            float4{fmaf(sure, slope.x, sums.x), fmaf(sure, slope.y, sums.y), fmaf(sure, slope.z, sums.z),
                   fmaf(sure, slope.w, sums.w)};
      });
}

// Self-attention over all joints of all views of a hand, for three of them; the rest of CASA.
template <int C>
__device__ __forceinline__ void attend(const Round<C>& round, const float* __restrict__ tokens,
                                       const float* __restrict__ asked, const float* __restrict__ view_mask,
                                       float* __restrict__ attended, int views) {
  constexpr int kWidth = C / kHeads;
  constexpr int kEach = C / kLanes;        // channels of a lane: eight lanes have a head
  constexpr int kLanesOfHead = kWidth / kEach;
  constexpr int kParts = kThreads / C;     // of the keys, when values are summed up
  static_assert(kLanesOfHead == 8 && kEach % 4 == 0 && kParts >= 1, "lanes share out a token's channels");
  alignas(16) __shared__ float work[4 * kQueries * kThreads];
  alignas(16) __shared__ float rows[kQueries * C];
  __shared__ float weights[kQueries * kHeads * kMostTokens];
  const int count = views * kJoints;
  const int first = blockIdx.x * kQueries;  // of all hands' tokens
  const int hand = first / count;
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const float* keys = asked + static_cast<size_t>(hand) * count * 3 * C + C;
  const float* values = keys + C;
  view_mask += hand * views;

  float query[kQueries][kEach];
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) query[q][i] = asked[static_cast<size_t>(first + q) * 3 * C + lane * kEach + i];
  }
  const float scale = 1.0f / sqrtf(static_cast<float>(kWidth));
#pragma unroll 7
  for (int token = warp; token < count; token += kWarps) {
    float sums[kQueries] = {};
#pragma unroll
    for (int i = 0; i < kEach; i += 4) {
      const float4 key = *reinterpret_cast<const float4*>(keys + token * 3 * C + lane * kEach + i);
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        sums[q] = fmaf(query[q][i], key.x, sums[q]);
        sums[q] = fmaf(query[q][i + 1], key.y, sums[q]);
        sums[q] = fmaf(query[q][i + 2], key.z, sums[q]);
        sums[q] = fmaf(query[q][i + 3], key.w, sums[q]);
      }
    }
    const float masked = (1.0f - view_mask[token / kJoints]) * kMaskedLogit;
#pragma unroll
    for (int q = 0; q < kQueries; ++q) {
#pragma unroll
      for (int step = kLanesOfHead / 2; step > 0; step /= 2) {
        sums[q] += __shfl_xor_sync(0xffffffffu, sums[q], step);
      }
      if (lane % kLanesOfHead == 0) {
        weights[(q * kHeads + lane / kLanesOfHead) * kMostTokens + token] = fmaf(sums[q], scale, masked);
      }
    }
  }
  __syncthreads();
  for (int row = warp; row < kQueries * kHeads; row += kWarps) {
    float* own = weights + row * kMostTokens;
    constexpr int kShare = (kMostTokens + kLanes - 1) / kLanes;
    float values[kShare];
    float most = -INFINITY;
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      const int token = i * kLanes + lane;
      values[i] = token < count ? own[token] : -INFINITY;
      most = fmaxf(most, values[i]);
    }
#pragma unroll
    for (int step = kLanes / 2; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, step));
    float total = 0.0f;
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      values[i] = expf(values[i] - most);
      total += values[i];
    }
    const float share = 1.0f / warp_sum(total);
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      const int token = i * kLanes + lane;
      if (token < count) own[token] = values[i] * share;
    }
  }
  __syncthreads();
  const int channel = threadIdx.x % C, part = threadIdx.x / C;
  const float* own = weights + channel / kWidth * kMostTokens;
  float sums[kQueries] = {};
#pragma unroll 24
  for (int token = part; token < count; token += kParts) {
    const float value = values[token * 3 * C + channel];
#pragma unroll
    for (int q = 0; q < kQueries; ++q) sums[q] = fmaf(own[q * kHeads * kMostTokens + token], value, sums[q]);
  }
#pragma unroll
  for (int q = 0; q < kQueries; ++q) work[(part * kQueries + q) * C + channel] = sums[q];
  __syncthreads();
  for (int i = threadIdx.x; i < kQueries * C; i += kThreads) {
    float sum = work[i];
#pragma unroll
    for (int p = 1; p < kParts; ++p) sum += work[p * kQueries * C + i];
    rows[i] = sum;
  }
  __syncthreads();
  rows_product<C, C, kQueries, kQueries>(
      round.out.weight, C, round.out.bias, rows, work, [&](int row, int column, const float4& sums) {
        const size_t place = static_cast<size_t>(first + row) * C + column;
        const float4 token = *reinterpret_cast<const float4*>(tokens + place);
        store4(attended + place, float4{token.x + sums.x, token.y + sums.y, token.z + sums.z, token.w + sums.w});
      });
}

// The MLP of seven tokens.
template <int C>
__device__ __forceinline__ void finish(const Last<C>& last, const float* __restrict__ tokens,
                                       float* __restrict__ fused) {
  alignas(16) __shared__ float work[4 * kTile * kThreads];
  alignas(16) __shared__ float rows[kTile * C];
  ask_for(&last, sizeof(Last<C>));
  const size_t first = static_cast<size_t>(blockIdx.x) * kTile * C;
  layer_norm<C>(tokens + first, last.norm, rows, kTile);
  rows_product<C, C, kTile, kTile>(
      last.hidden.weight, C, last.hidden.bias, rows, work,
      [&](int row, int column, const float4& sums) { store4(rows + row * C + column, relu4(sums)); });
  rows_product<C, C, kTile, kTile>(
      last.out.weight, C, last.out.bias, rows, work,
      [&](int row, int column, const float4& sums) { store4(fused + first + row * C + column, sums); });
}

}  // namespace interaction
}  // namespace usthand

#define USTHAND_INTERACTION(C)                                                                                         \
  static_assert(sizeof(usthand::interaction::Round<C>) % 16 == 0, "weights are read 16 bytes at a time");             \
  extern "C" __global__ void __launch_bounds__(256, 1) usthand_interaction_convolve_##C(                                  \
      const usthand::interaction::Round<C>* rounds, const float* tokens, const float* confidence, float* convolved,   \
      float* asked, int number) {                                                                                      \
    usthand::interaction::convolve<C>(rounds[number], tokens, confidence, convolved, asked);                          \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(256, 1) usthand_interaction_attend_##C(                                    \
      const usthand::interaction::Round<C>* rounds, const float* tokens, const float* asked, const float* view_mask,  \
      float* attended, int number, int views) {                                                                        \
    usthand::interaction::attend<C>(rounds[number], tokens, asked, view_mask, attended, views);                       \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(256, 1) usthand_interaction_finish_##C(                                    \
      const usthand::interaction::Last<C>* last, const float* tokens, float* fused) {                                 \
    usthand::interaction::finish<C>(*last, tokens, fused);                                                            \
  }

USTHAND_INTERACTION(128)
USTHAND_INTERACTION(256)
