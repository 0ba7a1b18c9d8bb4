// Heatmaps of joints and what is read from them, without writing the heatmaps: a 1x1 convolution, the softmax of so many
// times its values, the place that it expects, the highest value; and what the maps show at that place.
//
// Two launches. The first, grid (ceil(cells / 64), pictures, 1), 192 threads: a block keeps its cells and all weights in
// shared memory; a thread makes the values of one cell for seven joints, and a warp joins those of its 32 cells to one
// part a joint: their highest value and, relative to it, the softmax's sums. The second, grid (pictures 21, 1, 1), 32
// threads: a warp joins a joint's parts, and samples the maps there.
//
// Features (pictures, height, width, channels) float32, 16-byte aligned, channels a multiple of 4 and at most 128; parts
// (pictures, 21, ceil(cells / 32), 4) float32, 16-byte aligned; the sharpness is positive.

#include <cmath>

#include "maps_core.h"

namespace usthand::maps {

constexpr int kJoints = 21;
constexpr int kJointsAThread = 7;
constexpr int kTile = 64;
constexpr int kTileThreads = kTile * kJoints / kJointsAThread;
constexpr int kTileWarps = kTileThreads / 32;
constexpr int kMostPieces = 32;
static_assert(kJoints % kJointsAThread == 0, "each thread has as many joints");

}  // namespace usthand::maps

extern "C" __global__ void __launch_bounds__(192)
    usthand_heatmap_parts(const float* __restrict__ features, const float* __restrict__ weight,
                          const float* __restrict__ bias, const float* __restrict__ sharpness,
                          float4* __restrict__ parts, int channels, int height, int width) {
  using namespace usthand::maps;
  static_assert(kTileThreads == 192, "the launch bounds are so many threads");
  // A cell's channels are followed by one piece that nobody reads: lanes, each at its own cell, read different banks.
  __shared__ float4 cells[kTile * (kMostPieces + 1)];
  __shared__ float4 weights[kJoints * kMostPieces];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int pieces = channels / 4, stride = pieces + 1;
  const int count = height * width;
  const int first = blockIdx.x * kTile;
  const int held = min(kTile, count - first);
  const int picture = blockIdx.y;
  const float4* from = reinterpret_cast<const float4*>(features) + (static_cast<size_t>(picture) * count + first) * pieces;
  const float4* weight_pieces = reinterpret_cast<const float4*>(weight);

  constexpr int kRounds = (kTile + kTileWarps - 1) / kTileWarps, kWeightRounds = (kJoints + kTileWarps - 1) / kTileWarps;
  // All that is read is on its way before any of it is needed.
  float4 read[kRounds], read_weights[kWeightRounds];
#pragma unroll
  for (int i = 0; i < kRounds; ++i) {
    const int cell = warp + kTileWarps * i;
    if (cell < held && lane < pieces) read[i] = __ldg(from + cell * pieces + lane);
  }
#pragma unroll
  for (int i = 0; i < kWeightRounds; ++i) {
    const int joint = warp + kTileWarps * i;
    if (joint < kJoints && lane < pieces) read_weights[i] = __ldg(weight_pieces + joint * pieces + lane);
  }
  const int first_joint = kJointsAThread * (warp / 2);
  const float sharp = __ldg(sharpness);
  float heats[kJointsAThread];
#pragma unroll
  for (int j = 0; j < kJointsAThread; ++j) heats[j] = __ldg(bias + first_joint + j);
#pragma unroll
  for (int i = 0; i < kRounds; ++i) {
    const int cell = warp + kTileWarps * i;
    if (cell < held && lane < pieces) cells[cell * stride + lane] = read[i];
  }
#pragma unroll
  for (int i = 0; i < kWeightRounds; ++i) {
    const int joint = warp + kTileWarps * i;
    if (joint < kJoints && lane < pieces) weights[joint * pieces + lane] = read_weights[i];
  }
  __syncthreads();

  const int half = warp % 2;
  const int own = 32 * half + lane;
  const bool there = own < held;
  const float4* cell = cells + min(own, held - 1) * stride;
  const float4* joint_weights = weights + first_joint * pieces;
#pragma unroll 4
  for (int piece = 0; piece < pieces; ++piece) {
    const float4 x = cell[piece];
#pragma unroll
    for (int j = 0; j < kJointsAThread; ++j) heats[j] += dot(x, joint_weights[j * pieces + piece]);
  }

  const int place = first + own;
  const float u = cell_center(place % width, width), v = cell_center(place / width, height);
  // The joints side by side: what a lane waits for of one, it has of the others meanwhile.
  float peaks[kJointsAThread], sums[3 * kJointsAThread];
#pragma unroll
  for (int j = 0; j < kJointsAThread; ++j) peaks[j] = heats[j] = there ? heats[j] : -INFINITY;
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
#pragma unroll
    for (int j = 0; j < kJointsAThread; ++j) peaks[j] = fmaxf(peaks[j], __shfl_xor_sync(0xffffffffu, peaks[j], step));
  }
#pragma unroll
  for (int j = 0; j < kJointsAThread; ++j) {
    const float likelihood = expf((heats[j] - peaks[j]) * sharp);
    sums[3 * j] = likelihood;
    sums[3 * j + 1] = likelihood * u;
    sums[3 * j + 2] = likelihood * v;
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
#pragma unroll
    for (int i = 0; i < 3 * kJointsAThread; ++i) sums[i] += __shfl_xor_sync(0xffffffffu, sums[i], step);
  }
  // A warp without a cell has no numbers to write, either.
  const int part = 2 * blockIdx.x + half, parts_count = (count + 31) / 32;
  float4 mine = float4{0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
  for (int j = 0; j < kJointsAThread; ++j) {
    if (lane == j) mine = float4{peaks[j], sums[3 * j], sums[3 * j + 1], sums[3 * j + 2]};
  }
  if (part < parts_count && lane < kJointsAThread) {
    parts[(static_cast<size_t>(picture) * kJoints + first_joint + lane) * parts_count + part] = mine;
  }
}

extern "C" __global__ void __launch_bounds__(32)
    usthand_heatmap_joints(const float4* __restrict__ parts, const float* __restrict__ features,
                           const float* __restrict__ sharpness, float* __restrict__ joints,
                           float* __restrict__ confidence, float* __restrict__ samples, int channels, int height,
                           int width) {
  using namespace usthand::maps;
  const int lane = threadIdx.x;
  const int parts_count = (height * width + 31) / 32;
  const float4* own = parts + static_cast<size_t>(blockIdx.x) * parts_count;
  const float sharp = __ldg(sharpness);
  // 32 parts are the 1024 cells of the largest preset: mostly there is nothing after a lane's first one.
  const float4 none = float4{-INFINITY, 0.0f, 0.0f, 0.0f};
  const float4 first = lane < parts_count ? __ldg(own + lane) : none;
  float peak = first.x;
  for (int i = lane + 32; i < parts_count; i += 32) peak = fmaxf(peak, __ldg(own + i).x);
  peak = warp_max(peak);
  float total = 0.0f, across = 0.0f, down = 0.0f;
  for (int i = lane; i < parts_count; i += 32) {
    const float4 part = i == lane ? first : __ldg(own + i);
    const float share = expf((part.x - peak) * sharp);
    total += part.y * share;
    across += part.z * share;
    down += part.w * share;
  }
  total = warp_sum(total);
  const float u = warp_sum(across) / total, v = warp_sum(down) / total;
  if (lane == 0) {
    joints[2 * blockIdx.x] = u;
    joints[2 * blockIdx.x + 1] = v;
    confidence[blockIdx.x] = fminf(fmaxf(peak, 0.0f), 1.0f);
  }
  const int pieces = channels / 4;
  if (lane >= pieces) return;
  const float4* map = reinterpret_cast<const float4*>(features) +
                      static_cast<size_t>(blockIdx.x / kJoints) * height * width * pieces;
  reinterpret_cast<float4*>(samples)[static_cast<size_t>(blockIdx.x) * pieces + lane] =
      sampled(map + lane, between_cells(u, width), between_cells(v, height), width, pieces);
}
