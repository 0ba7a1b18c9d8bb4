// A block of the Spatiotemporal Point Transformer (sec. 3.5, eq. 9-12) for one frame, as one kernel: spatial, temporal and
// cross attention, the step of the query points, and what the next block's spatial attention asks of each of them.
//
// One block of 256 threads a query point: in a frame a point needs of the others only their places, keys and values from
// before. PyTorch needs some forty kernels for it, each of which takes longer to start than to run. All is float32.
//
// Weights lie as `Block` says, matrices as (in, out); engine/kernels/layouts.py says the same.

#include "block_math.h"

namespace usthand {
namespace stpt {

constexpr int kJoints = 21;
constexpr int kHeads = 4;
constexpr int kPast = 4;
constexpr int kBand = kPast + 1;
constexpr int kSpatial = 8;   // neighbours among the query points
constexpr int kAnchors = 16;  // neighbours among the anchors
// So many threads look for the nearest anchors.
constexpr int kScouts = 96;
// A product of the pairs' rows gives a thread so many of them.
constexpr int kEach = 8;

template <int D>
struct Attention {
  Linear<3, D> position_in;
  Linear<D, D> pairs[3];  // the position's second, the weight's first and second
  Linear<D, D> out;
};

template <int D>
struct Block {
  Norm<D> spatial_norm;
  Linear<D, 3 * D> spatial_qkv;
  Attention<D> spatial;
  Norm<D> temporal_norm;
  Linear<D, 3 * D> temporal_qkv;
  float frame_embedding[kBand * 2 * D];
  Linear<D, D> temporal_out;
  Norm<D> cross_norm;
  Linear<D, D> cross_query;
  Attention<D> cross;
  Norm<D> step_norm;
  Linear<D, D> step;
  float move[3 * D];
  float move_bias[4];  // the fourth is not used
};

template <int D>
struct alignas(16) Shared {
  // Rows of pairs that go into a product, and then the product's partial sums, which are never needed together.
  float work[4 * kEach * kThreads];
  float delta[kAnchors * D];  // also keys and values along time
  float row3[3 * D];
  float feature[D];
  float normed[D];
  float query[D];
  float summed[D];
  float offsets[kAnchors * 3];
  float logits[kHeads * kBand];
  float place[4];
  int ids[2][kAnchors];  // the nearest query points and anchors
};

// Point Transformer's vector attention of the query point over PAIRS points; adds to `shared.feature`. Keys lie at
// `keys + id * stride`, values D floats behind them, places at `places + 3 * id`.
template <int D, int PAIRS>
__device__ __forceinline__ void attend(const Attention<D>& attention, const int* ids,
                                       const float* __restrict__ places, const float* __restrict__ keys, int stride,
                                       Shared<D>& shared) {
  float* work = shared.work;
  for (int i = threadIdx.x; i < 3 * PAIRS; i += kThreads) {
    shared.offsets[i] = shared.place[i % 3] - places[3 * ids[i / 3] + i % 3];
  }
  __syncthreads();
#pragma unroll 4
  for (int i = threadIdx.x; i < PAIRS * D; i += kThreads) {
    const int channel = i % D;
    const float* offset = shared.offsets + i / D * 3;
    float sum = __ldg(attention.position_in.bias + channel);
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
      sum = fmaf(offset[axis], __ldg(attention.position_in.weight + axis * D + channel), sum);
    }
    work[i] = fmaxf(sum, 0.0f);
  }
  __syncthreads();
#pragma unroll 1
  for (int layer = 0; layer < 3; ++layer) {
    const Linear<D, D>& linear = attention.pairs[layer];
    rows_product<D, D, PAIRS, kEach>(
        linear.weight, D, linear.bias, work, work, [&](int pair, int column, float4 sum) {
          if (layer == 0) {
            const float4 key = *reinterpret_cast<const float4*>(keys + ids[pair] * stride + column);
            const float4 query = *reinterpret_cast<const float4*>(shared.query + column);
            store4(shared.delta + pair * D + column, sum);
            sum = float4{query.x - key.x + sum.x, query.y - key.y + sum.y, query.z - key.z + sum.z,
                         query.w - key.w + sum.w};
          } else if (layer == 1) {
            sum = relu4(sum);
          }
          store4(work + pair * D + column, sum);
        });
  }
  if (threadIdx.x < D) {
    const int channel = threadIdx.x;
    float most = work[channel];
#pragma unroll 8
    for (int p = 1; p < PAIRS; ++p) most = fmaxf(most, work[p * D + channel]);
    float total = 0.0f, sum = 0.0f;
#pragma unroll 8
    for (int p = 0; p < PAIRS; ++p) {
      const float weight = expf(work[p * D + channel] - most);
      total += weight;
      sum = fmaf(weight, keys[ids[p] * stride + D + channel] + shared.delta[p * D + channel], sum);
    }
    shared.summed[channel] = sum / total;
  }
  __syncthreads();
  row_product(shared.summed, attention.out, work, [&](int column, const float4& sums) { add4(shared.feature + column, sums); });
}

// Points by their distance and, where that is equal, by their number.
__device__ __forceinline__ uint64_t point_key(const float* place, const float* points, int number) {
  return static_cast<uint64_t>(distance_bits(place, points + 3 * number)) << 32 | static_cast<uint32_t>(number);
}

__device__ __forceinline__ int rank_of(uint64_t key, const uint64_t* keys, int count) {
  int rank = 0;
#pragma unroll 8
  for (int i = 0; i < count; ++i) rank += keys[i] < key;
  return rank;
}

// The nearest query points and anchors. Some threads look for the nearest of their shares of the anchors; the kAnchors
// of them whose nearest is nearest have all that are wanted. Ends at a barrier.
template <int D>
__device__ __forceinline__ void find_neighbors(const float* __restrict__ places, const float* __restrict__ anchors,
                                               int anchors_count, Shared<D>& shared) {
  constexpr uint64_t kNone = ~static_cast<uint64_t>(0);
  uint64_t* nearest = reinterpret_cast<uint64_t*>(shared.work);
  uint64_t* joints = nearest + kScouts;
  uint64_t* candidates = joints + kLanes;
  const int thread = threadIdx.x;
  uint64_t own = kNone;
  if (thread < kScouts) {
#pragma unroll 4
    for (int i = thread; i < anchors_count; i += kScouts) {
      const uint64_t key = point_key(shared.place, anchors, i);
      own = key < own ? key : own;
    }
    nearest[thread] = own;
  }
  if (thread < kJoints) joints[thread] = point_key(shared.place, places, thread);
  __syncthreads();
  const int share = (anchors_count + kScouts - 1) / kScouts;
  // Who has no point has none that is near.
  const int rank = own == kNone ? kScouts : rank_of(own, nearest, kScouts);
  if (rank < kAnchors) {
    for (int i = 0; i < share; ++i) {
      const int number = i * kScouts + thread;
      candidates[rank * share + i] = number < anchors_count ? point_key(shared.place, anchors, number) : kNone;
    }
  }
  if (thread < kJoints) {
    const int joint_rank = rank_of(joints[thread], joints, kJoints);
    if (joint_rank < kSpatial) shared.ids[0][joint_rank] = thread;
  }
  __syncthreads();
  for (int i = thread; i < kAnchors * share; i += kThreads) {
    const uint64_t key = candidates[i];
    const int key_rank = key == kNone ? kAnchors : rank_of(key, candidates, kAnchors * share);
    if (key_rank < kAnchors) shared.ids[1][key_rank] = static_cast<int>(key & 0xffffffffu);
  }
  __syncthreads();
}

// Self-attention of the query point along time (eq. 10), over the band; adds to `shared.feature`. `past` and `kept` are
// (2, kPast, 21, D): keys and values before and after this frame.
template <int D>
__device__ __forceinline__ void attend_time(const Block<D>& block, const float* __restrict__ valid,
                                            const float* __restrict__ past, float* __restrict__ kept, int joint,
                                            Shared<D>& shared) {
  layer_norm(shared.feature, block.temporal_norm, shared.normed);
  row_product(shared.normed, block.temporal_qkv, shared.work, [&](int column, const float4& sums) { store4(shared.row3 + column, sums); });
  float* band = shared.delta;  // (2, kBand, D): keys, then values
  for (int i = threadIdx.x; i < 2 * kBand * D; i += kThreads) {
    const int channel = i % D, time = i / D % kBand, which = i / (D * kBand);
    const int row = which * kPast + time;
    const float value =
        time < kPast ? past[(row * kJoints + joint) * D + channel] : shared.row3[(1 + which) * D + channel];
    if (time > 0) kept[((row - 1) * kJoints + joint) * D + channel] = value;
    band[i] = value + __ldg(block.frame_embedding + (2 * time + which) * D + channel);
  }
  __syncthreads();
  constexpr int kWidth = D / kHeads;
  if (threadIdx.x < kHeads * kBand) {
    const int head = threadIdx.x / kBand, time = threadIdx.x % kBand;
    float sum = 0.0f;
#pragma unroll 8
    for (int i = 0; i < kWidth; ++i) {
      sum = fmaf(shared.row3[head * kWidth + i], band[time * D + head * kWidth + i], sum);
    }
    const float usable = time == kPast ? 1.0f : valid[time];
    shared.logits[threadIdx.x] = sum / sqrtf(static_cast<float>(kWidth)) + (1.0f - usable) * kMaskedLogit;
  }
  __syncthreads();
  if (threadIdx.x < D) {
    const float* logits = shared.logits + threadIdx.x / kWidth * kBand;
    float most = logits[0];
#pragma unroll
    for (int t = 1; t < kBand; ++t) most = fmaxf(most, logits[t]);
    float total = 0.0f, sum = 0.0f;
#pragma unroll
    for (int t = 0; t < kBand; ++t) {
      const float weight = expf(logits[t] - most);
      total += weight;
      sum = fmaf(weight, band[(kBand + t) * D + threadIdx.x], sum);
    }
    shared.summed[threadIdx.x] = sum / total;
  }
  __syncthreads();
  row_product(shared.summed, block.temporal_out, shared.work,
              [&](int column, const float4& sums) { add4(shared.feature + column, sums); });
}

// What spatial attention asks of a query point: query, key and value.
template <int D>
__device__ __forceinline__ void ask(const Block<D>& block, float* __restrict__ asked, Shared<D>& shared) {
  layer_norm(shared.feature, block.spatial_norm, shared.normed);
  row_product(shared.normed, block.spatial_qkv, shared.work, [&](int column, const float4& sums) { store4(asked + column, sums); });
}

template <int D>
__device__ __forceinline__ void start(const Block<D>* __restrict__ first, const float* __restrict__ features,
                                      float* __restrict__ asked) {
  __shared__ Shared<D> shared;
  ask_for(first, sizeof(Block<D>));
  for (int i = threadIdx.x; i < D; i += kThreads) shared.feature[i] = features[blockIdx.x * D + i];
  __syncthreads();
  ask(*first, asked + static_cast<size_t>(blockIdx.x) * 3 * D, shared);
}

template <int D>
__device__ __forceinline__ void refine(const Block<D>* __restrict__ blocks, const float* __restrict__ places,
                                       const float* __restrict__ features, const float* __restrict__ asked,
                                       const float* __restrict__ anchor_places,
                                       const float* __restrict__ anchor_keys_values, const float* __restrict__ valid,
                                       const float* __restrict__ state, float* __restrict__ places_out,
                                       float* __restrict__ features_out, float* __restrict__ asked_out,
                                       float* __restrict__ state_out, int anchors_count, int number, int count) {
  __shared__ Shared<D> shared;
  const int hand = blockIdx.x / kJoints, joint = blockIdx.x % kJoints;
  const Block<D>& block = blocks[number];
  if (number + 1 < count) ask_for(&blocks[number + 1], sizeof(Block<D>));
  places += hand * kJoints * 3;
  features += hand * kJoints * D;
  asked += hand * kJoints * 3 * D;
  anchor_places += hand * anchors_count * 3;
  anchor_keys_values += (static_cast<size_t>(hand) * anchors_count * count + number) * 2 * D;
  const size_t in_state = (static_cast<size_t>(hand) * count + number) * 2 * kPast * kJoints * D;

  if (threadIdx.x < 3) shared.place[threadIdx.x] = places[3 * joint + threadIdx.x];
  for (int i = threadIdx.x; i < D; i += kThreads) {
    shared.feature[i] = features[joint * D + i];
    shared.query[i] = asked[joint * 3 * D + i];
  }
  __syncthreads();
  find_neighbors(places, anchor_places, anchors_count, shared);

  attend<D, kSpatial>(block.spatial, shared.ids[0], places, asked + D, 3 * D, shared);
  attend_time(block, valid + hand * kBand, state + in_state, state_out + in_state, joint, shared);
  layer_norm(shared.feature, block.cross_norm, shared.normed);
  row_product(shared.normed, block.cross_query, shared.work,
              [&](int column, const float4& sums) { store4(shared.query + column, sums); });
  attend<D, kAnchors>(block.cross, shared.ids[1], anchor_places, anchor_keys_values, count * 2 * D, shared);

  layer_norm(shared.feature, block.step_norm, shared.normed);
  row_product(shared.normed, block.step, shared.work,
              [&](int column, const float4& sums) { store4(shared.summed + column, relu4(sums)); });
  const int axis = threadIdx.x / kLanes, lane = threadIdx.x % kLanes;
  if (axis < 3) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < D / kLanes; ++i) {
      sum = fmaf(shared.summed[i * kLanes + lane], __ldg(block.move + axis * D + i * kLanes + lane), sum);
    }
    sum = warp_sum(sum);
    if (lane == 0) places_out[3 * blockIdx.x + axis] = shared.place[axis] + sum + __ldg(block.move_bias + axis);
  }
  for (int i = threadIdx.x; i < D; i += kThreads) {
    shared.feature[i] += shared.summed[i];
    features_out[blockIdx.x * D + i] = shared.feature[i];
  }
  __syncthreads();
  if (number + 1 < count) ask(blocks[number + 1], asked_out + static_cast<size_t>(blockIdx.x) * 3 * D, shared);
}

}  // namespace stpt
}  // namespace usthand

#define USTHAND_STPT(D)                                                                                               \
  static_assert(sizeof(usthand::stpt::Shared<D>) <= 48 * 1024, "what a block has without asking for more");          \
  static_assert(sizeof(usthand::stpt::Block<D>) % 16 == 0, "weights are read 16 bytes at a time");                   \
  extern "C" __global__ void __launch_bounds__(256, 1)                                                                 \
      usthand_stpt_start_##D(const usthand::stpt::Block<D>* blocks, const float* features, float* asked) {           \
    usthand::stpt::start<D>(blocks, features, asked);                                                                 \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256, 1) usthand_stpt_refine_##D(                                          \
      const usthand::stpt::Block<D>* blocks, const float* places, const float* features, const float* asked,         \
      const float* anchor_places, const float* anchor_keys_values, const float* valid, const float* state,           \
      float* places_out, float* features_out, float* asked_out, float* state_out, int anchors_count, int number,     \
      int count) {                                                                                                    \
    usthand::stpt::refine<D>(blocks, places, features, asked, anchor_places, anchor_keys_values, valid, state,       \
                             places_out, features_out, asked_out, state_out, anchors_count, number, count);          \
  }

USTHAND_STPT(96)
USTHAND_STPT(128)
