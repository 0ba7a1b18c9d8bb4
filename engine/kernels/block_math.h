// What the kernels of the network's layers are made of: rows in shared memory that a block of 256 threads normalises and
// multiplies with matrices. All is float32. Weights are read once by each block, 16 bytes a thread, with several reads
// under way; a product is split along what is summed, so that every thread has some of it. Few of them are in a kernel's
// code more than once: a kernel that is launched once in a frame waits for its instructions as for its weights.
#pragma once

#include "knn_core.h"

namespace usthand {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kLanes;
constexpr float kNormEpsilon = 1e-5f;
constexpr float kMaskedLogit = -1e9f;

template <int IN, int OUT>
struct Linear {
  float weight[IN * OUT];  // (IN, OUT)
  float bias[OUT];
};

template <int D>
struct Norm {
  float scale[D];
  float shift[D];
};

__device__ __forceinline__ float4 load4(const float* address) {
  return __ldg(reinterpret_cast<const float4*>(address));
}

// Ask for bytes that will be read soon to be brought to the cache that all blocks share; each block asks for a part. What
// lies in memory is first read by many blocks at once, each of which would wait for it in small steps.
__device__ __forceinline__ void ask_for(const void* start, size_t size) {
#ifdef __CUDA_ARCH__
  constexpr size_t kLine = 128;
  const size_t block = blockIdx.y * gridDim.x + blockIdx.x, blocks = gridDim.x * gridDim.y;
  for (size_t i = (block * kThreads + threadIdx.x) * kLine; i < size; i += blocks * kThreads * kLine) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(static_cast<const char*>(start) + i));
  }
#endif
}

__device__ __forceinline__ void add_scaled(float4& sum, float factor, const float4& row) {
  sum.x = fmaf(factor, row.x, sum.x);
  sum.y = fmaf(factor, row.y, sum.y);
  sum.z = fmaf(factor, row.z, sum.z);
  sum.w = fmaf(factor, row.w, sum.w);
}

__device__ __forceinline__ float4 relu4(const float4& v) {
  return float4{fmaxf(v.x, 0.0f), fmaxf(v.y, 0.0f), fmaxf(v.z, 0.0f), fmaxf(v.w, 0.0f)};
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

// Normalise rows into others `(rows, D)`, a warp a row. All threads call it; it ends at a barrier.
template <int D>
__device__ __forceinline__ void layer_norm(const float* rows, const Norm<D>& norm, float* normed, int count = 1) {
  static_assert(D % kLanes == 0, "a warp shares out a row");
  constexpr int kEach = D / kLanes;
  const int lane = threadIdx.x % kLanes;
  for (int row = threadIdx.x / kLanes; row < count; row += kWarps) {
    float values[kEach];
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      values[i] = rows[row * D + i * kLanes + lane];
      sum += values[i];
    }
    const float mean = warp_sum(sum) / D;
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      values[i] -= mean;
      squares = fmaf(values[i], values[i], squares);
    }
    const float scale = 1.0f / sqrtf(warp_sum(squares) / D + kNormEpsilon);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int channel = i * kLanes + lane;
      normed[row * D + channel] = fmaf(values[i] * scale, __ldg(norm.scale + channel), __ldg(norm.shift + channel));
    }
  }
  __syncthreads();
}

// Into how many parts a product's sum is split: as many as there are threads for, each of a multiple of `step` terms.
USTHAND_BOTH constexpr int splits_of(int in, int groups, int step) {
  while (groups > 1 && in % (groups * step) != 0) --groups;
  return groups;
}

// How many terms at a time: a multiple of four that divides them, `most` at most.
USTHAND_BOTH constexpr int steps_of(int terms, int most) {
  while (terms % most != 0) most -= 4;
  return most;
}

// Rows `(ROWS, IN)` times a matrix, whose rows lie `stride` floats apart, and a bias if there is one. `store(row, column,
// sums)` gets four sums at a time, when `rows` and `work` are free again. All threads call it; it ends at a barrier.
//
// A thread has four columns of EACH rows. `work` holds ROWS * OUT floats for each part of the sum, 4 EACH kThreads in
// all; the rows may lie in it.
template <int IN, int OUT, int ROWS, int EACH, class Store>
__device__ __forceinline__ void rows_product(const float* weight, int stride, const float* bias, const float* rows,
                                             float* work, Store store) {
  constexpr int kQuads = OUT / 4;
  constexpr int kParts = ROWS / EACH;
  constexpr int kSplits = splits_of(IN, kThreads / kQuads / kParts, 4);
  constexpr int kGroups = kParts * kSplits;
  constexpr int kTerms = IN / kSplits;
  // Rows of weights are read so many at a time; with much to do with each, a step before they are needed.
  constexpr bool kAhead = EACH > 3;
  constexpr int kStep = steps_of(kTerms, kAhead ? 8 : 16);
  static_assert(ROWS % EACH == 0 && kTerms % 4 == 0 && kQuads * kGroups <= kThreads, "a group of threads has a part");
  const int quad = threadIdx.x % kQuads;
  const int group = threadIdx.x / kQuads;
  const int first_row = group % kParts * EACH;
  const int split = group / kParts;
  float4 sums[EACH];
#pragma unroll
  for (int r = 0; r < EACH; ++r) sums[r] = float4{0.0f, 0.0f, 0.0f, 0.0f};
  if (group < kGroups) {
    const float* lines = weight + static_cast<size_t>(split) * kTerms * stride + 4 * quad;
    const float* factors = rows + first_row * IN + split * kTerms;
    float4 weights[kStep];
    if (kAhead) {
#pragma unroll
      for (int j = 0; j < kStep; ++j) weights[j] = load4(lines + j * stride);
    }
#pragma unroll 2
    for (int i = 0; i < kTerms; i += kStep) {
      const int first = kAhead ? i + kStep : i;
      float4 read[kStep];
#pragma unroll
      for (int j = 0; j < kStep; ++j) {
        if (first < kTerms) read[j] = load4(lines + (first + j) * stride);
      }
      const float4* now = kAhead ? weights : read;
#pragma unroll
      for (int j = 0; j < kStep; j += 4) {
#pragma unroll
        for (int r = 0; r < EACH; ++r) {
          const float4 row = *reinterpret_cast<const float4*>(factors + r * IN + i + j);
          add_scaled(sums[r], row.x, now[j]);
          add_scaled(sums[r], row.y, now[j + 1]);
          add_scaled(sums[r], row.z, now[j + 2]);
          add_scaled(sums[r], row.w, now[j + 3]);
        }
      }
#pragma unroll
      for (int j = 0; j < kStep; ++j) {
        if (kAhead && first < kTerms) weights[j] = read[j];
      }
    }
  }
  // It comes while others finish.
  constexpr int kAll = ROWS * kQuads;
  constexpr int kPlaces = (kAll + kThreads - 1) / kThreads;
  float4 whole[kPlaces];
#pragma unroll
  for (int e = 0; e < kPlaces; ++e) {
    const int column = (e * kThreads + threadIdx.x) % kQuads * 4;
    whole[e] = bias == nullptr ? float4{0.0f, 0.0f, 0.0f, 0.0f} : load4(bias + column);
  }
  __syncthreads();
  float4* partial = reinterpret_cast<float4*>(work);
  if (group < kGroups) {
#pragma unroll
    for (int r = 0; r < EACH; ++r) partial[(split * ROWS + first_row + r) * kQuads + quad] = sums[r];
  }
  __syncthreads();
#pragma unroll
  for (int e = 0; e < kPlaces; ++e) {
    const int place = e * kThreads + threadIdx.x;
    if (place >= kAll) continue;
#pragma unroll
    for (int i = 0; i < kSplits; ++i) add_scaled(whole[e], 1.0f, partial[i * kAll + place]);
  }
  __syncthreads();
#pragma unroll
  for (int e = 0; e < kPlaces; ++e) {
    const int place = e * kThreads + threadIdx.x;
    if (place < kAll) store(place / kQuads, place % kQuads * 4, whole[e]);
  }
  __syncthreads();
}

// The same of one row: `store(column, sums)`.
template <int IN, int OUT, class Store>
__device__ __forceinline__ void row_product(const float* row, const Linear<IN, OUT>& linear, float* work, Store store) {
  rows_product<IN, OUT, 1, 1>(linear.weight, OUT, linear.bias, row, work,
                              [&](int, int column, const float4& sums) { store(column, sums); });
}

__device__ __forceinline__ void store4(float* address, const float4& values) {
  *reinterpret_cast<float4*>(address) = values;
}

__device__ __forceinline__ void add4(float* address, const float4& values) {
  float4& sum = *reinterpret_cast<float4*>(address);
  sum = float4{sum.x + values.x, sum.y + values.y, sum.z + values.z, sum.w + values.w};
}

}  // namespace usthand
