// The flow's joints of each view, triangulated: engine/network/cloud.py, whose functions are flow.py and triangulation.py.
//
// usthand_flow_conditions: grid (ceil(rows / 4), 1, 1), block (288, 1, 1). The two layers that make the flow's conditions. A
// block has four rows, so that a weight that is read is used four times; each thread has all its weights under way at once.
//   fused (rows, C), first_weight (C, 64), first_bias (64), second_weight (64, 260), second_bias (260), all but the first
//   bias 16 bytes aligned: read. C is a multiple of 16, 256 at most.
//   conditions (rows, 260): written.
//
// usthand_flow_cloud: grid (ceil(21 (1 + M) / 8), N, 1), block (384, 1, 1). A warp for each point of the cloud. Four lanes
// share a view's coupling layers, and all views go at once, so 8 views are the most. The hand's frame needs four joints of
// all: each block makes them itself, by four warps more, instead of waiting for another block.
//
// All pointers are to contiguous float32 on the device; N hands, V views, M hypotheses. None is said to be the only one to
// its memory: what is read would then be loaded where it is used, which is later, and waited for there.
//   conditions (N, V, 21, 4 * 64 + 4), 16 bytes aligned; center (N, V, 21, 2); noise (N, V, M, 21, 2); confidence
//   (N, V, 21); view_mask (N, V); projections (N, V, 3, 4); from_coordinate (4, 64) and to_scale_shift (4, 64, 2), 16 bytes
//   aligned: read.
//   keypoints (N, V, 21, 2); points (N, 21 (1 + M), 3); axes (N, 3, 3); start_in_hand (N, 21, 3); anchors_in_hand
//   (N, 21 M, 3): written.

#include "hand_math.h"

namespace usthand::flow {

using namespace hand;

constexpr int kFlowLayers = 4, kFlowHidden = 64;
constexpr int kConditions = kFlowLayers * kFlowHidden + 4;
constexpr int kViewLanes = 4;                           // lanes of a view
constexpr int kQuads = kFlowHidden / (4 * kViewLanes);  // a lane's groups of four hidden units
constexpr int kPalmWarps = 4, kPointWarps = 8;
constexpr float kSpread = 0.2f, kLogSpread = -1.6094379124341003f, kMostLogScale = 2.0f;
constexpr float kLeastConfidence = 0.02f, kRidge = 1e-7f, kLeastDeterminant = 1e-9f, kSmallest = 1e-12f;
constexpr int kRefinements = 2;

__device__ __forceinline__ float add_over(float value, int lanes) {
  return value + __shfl_xor_sync(0xffffffffu, value, lanes);
}

constexpr int kSlices = 16, kMostShare = 16, kMostChannels = kSlices * kMostShare;  // of F_fuse, and of its channels

// To sums of four outputs, each in four rows, what one input adds to them.
__device__ __forceinline__ void add_products(float4* sums, float4 weights, float4 rows) {
  const float each[4] = {weights.x, weights.y, weights.z, weights.w};
#pragma unroll
  for (int o = 0; o < 4; ++o) {
    sums[o].x += each[o] * rows.x;
    sums[o].y += each[o] * rows.y;
    sums[o].z += each[o] * rows.z;
    sums[o].w += each[o] * rows.w;
  }
}

// A row's sum over four lanes, each of which asks for another row.
__device__ __forceinline__ float of_row(float4 sums, int row) {
  const float x = add_over(add_over(sums.x, 1), 2), y = add_over(add_over(sums.y, 1), 2);
  const float z = add_over(add_over(sums.z, 1), 2), w = add_over(add_over(sums.w, 1), 2);
  return row == 0 ? x : row == 1 ? y : row == 2 ? z : w;
}

// Over a warp whose lanes hold a row each: lanes that differ in their second bit hold the same row.
__device__ __forceinline__ float add_rows(float value) {
  return add_over(add_over(add_over(add_over(value, 1), 4), 8), 16);
}

__device__ __forceinline__ Vector add_rows(Vector value) {
  return Vector{add_rows(value.x), add_rows(value.y), add_rows(value.z)};
}

// A symmetric matrix, and its inverse by cofactors, as `_inverse_3x3` has it: with a ridge.
struct Symmetric {
  float xx, xy, xz, yy, yz, zz;

  __device__ __forceinline__ Vector on(Vector a) const {
    return Vector{xx * a.x + xy * a.y + xz * a.z, xy * a.x + yy * a.y + yz * a.z, xz * a.x + yz * a.y + zz * a.z};
  }

  __device__ __forceinline__ Symmetric inverse() const {
    const float trace = fmaxf(xx + yy + zz, kSmallest);
    const float a = xx / trace + kRidge, d = yy / trace + kRidge, f = zz / trace + kRidge;
    const float b = xy / trace, c = xz / trace, e = yz / trace;
    Symmetric cofactors{d * f - e * e, e * c - b * f, b * e - d * c, f * a - c * c, c * b - e * a, a * d - b * b};
    const float determinant = fmaxf(a * cofactors.xx + b * cofactors.xy + c * cofactors.xz, kLeastDeterminant);
    const float share = 1.0f / determinant / trace;
    cofactors.xx *= share, cofactors.xy *= share, cofactors.xz *= share;
    cofactors.yy *= share, cofactors.yz *= share, cofactors.zz *= share;
    return cofactors;
  }
};

}  // namespace usthand::flow

extern "C" __global__ void __launch_bounds__(288)
    usthand_flow_conditions(const float* fused, const float* first_weight, const float* first_bias,
                            const float* second_weight, const float* second_bias, float* conditions, int rows,
                            int channels) {
  using namespace usthand::flow;
  // A number of each of the four rows.
  __shared__ float4 given[kMostChannels], hidden[kFlowHidden], partial[kSlices][kFlowHidden];
  const int thread = threadIdx.x, first_row = 4 * blockIdx.x;
  // In the first layer a thread has four outputs and a slice of the inputs, in the second four outputs and a quarter.
  const int slice = thread / 16, quad = thread % 16, share = channels / kSlices;
  const int column = thread / 4, quarter = thread % 4;
  const bool in_first = thread < 16 * kSlices, in_second = thread < kConditions;

  // All that is read, at once.
  float own[4] = {};
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    if (thread < channels) own[r] = fused[static_cast<size_t>(min(first_row + r, rows - 1)) * channels + thread];
  }
  float4 first[kMostShare], second[kFlowHidden / 4];
#pragma unroll
  for (int i = 0; i < kMostShare; ++i) {
    first[i] = in_first && i < share ? reinterpret_cast<const float4*>(first_weight)[(slice * share + i) * 16 + quad]
                                     : float4{0.0f, 0.0f, 0.0f, 0.0f};
  }
#pragma unroll
  for (int i = 0; i < kFlowHidden / 4; ++i) {
    second[i] = in_second ? reinterpret_cast<const float4*>(
                                second_weight)[(quarter * (kFlowHidden / 4) + i) * (kConditions / 4) + column]
                          : float4{0.0f, 0.0f, 0.0f, 0.0f};
  }
  const int output = 4 * (thread / 4 % 16) + thread / 64;  // of the first layer, as the sums lie
  const float offset = in_first ? first_bias[output] : 0.0f;
  const float4 last = in_second ? reinterpret_cast<const float4*>(second_bias)[column] : float4{0.0f, 0.0f, 0.0f, 0.0f};
  if (thread < channels) given[thread] = float4{own[0], own[1], own[2], own[3]};
  __syncthreads();

  float4 sums[4] = {};
  if (in_first) {
#pragma unroll
    for (int i = 0; i < kMostShare; ++i) {
      if (i < share) add_products(sums, first[i], given[slice * share + i]);
    }
#pragma unroll
    for (int o = 0; o < 4; ++o) partial[slice][16 * o + quad] = sums[o];
  }
  __syncthreads();

  if (in_first) {
    const float* at = reinterpret_cast<const float*>(partial) + thread;
    float sum = offset;
#pragma unroll
    for (int i = 0; i < kSlices; ++i) sum += at[4 * kFlowHidden * i];
    reinterpret_cast<float*>(hidden)[4 * output + quarter] = fmaxf(sum, 0.0f);
  }
  __syncthreads();

#pragma unroll
  for (int o = 0; o < 4; ++o) sums[o] = float4{0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
  for (int i = 0; i < kFlowHidden / 4; ++i) add_products(sums, second[i], hidden[quarter * (kFlowHidden / 4) + i]);
  // Each of the four lanes that share a column writes one of the rows.
  const float4 made{of_row(sums[0], quarter) + last.x, of_row(sums[1], quarter) + last.y,
                    of_row(sums[2], quarter) + last.z, of_row(sums[3], quarter) + last.w};
  if (in_second && first_row + quarter < rows) {
    reinterpret_cast<float4*>(conditions + static_cast<size_t>(first_row + quarter) * kConditions)[column] = made;
  }
}

extern "C" __global__ void __launch_bounds__(384)
    usthand_flow_cloud(const float* conditions, const float* center, const float* noise, const float* confidence,
                       const float* view_mask, const float* projections, const float* from_coordinate,
                       const float* to_scale_shift, float* keypoints, float* points, float* axes, float* start_in_hand,
                       float* anchors_in_hand, int views, int hypotheses) {
  using namespace usthand::flow;
  __shared__ float4 from[kFlowLayers * kFlowHidden / 4], to[kFlowLayers * kFlowHidden / 2];
  __shared__ float palm[kPalmWarps][3];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int count = kJoints * (1 + hypotheses);
  const int own = static_cast<int>(blockIdx.x) * kPointWarps + warp - kPalmWarps;
  // Wrist, index, middle and little finger; then the block's own points, of a joint all samples one after the other, since
  // they read the same conditions. The last block has fewer.
  const bool for_palm = warp < kPalmWarps;
  const int number = min(own, count - 1);
  const int joint = for_palm ? (warp == 0 ? 0 : warp == 3 ? 17 : 1 + 4 * warp) : number / (1 + hypotheses);
  const int sample = for_palm ? 0 : number % (1 + hypotheses), point = sample * kJoints + joint;
  const bool there = lane / kViewLanes < views;
  const int view = there ? lane / kViewLanes : views - 1, part = lane % kViewLanes;
  const size_t seen = static_cast<size_t>(blockIdx.y) * views + view;

  // All that is read, at once.
  if (threadIdx.x < kFlowLayers * kFlowHidden / 4) {
    from[threadIdx.x] = reinterpret_cast<const float4*>(from_coordinate)[threadIdx.x];
  } else if (threadIdx.x < kFlowLayers * kFlowHidden / 4 * 3) {
    const int place = threadIdx.x - kFlowLayers * kFlowHidden / 4;
    to[place] = reinterpret_cast<const float4*>(to_scale_shift)[place];
  }
  const float4* row4 = reinterpret_cast<const float4*>(conditions + (seen * kJoints + joint) * kConditions);
  float4 given[kFlowLayers][kQuads];
#pragma unroll
  for (int layer = 0; layer < kFlowLayers; ++layer) {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) given[layer][i] = row4[layer * (kFlowHidden / 4) + kViewLanes * i + part];
  }
  const float4 last = row4[kFlowLayers * kFlowHidden / 4];
  const float* around = center + (seen * kJoints + joint) * 2;
  const float around_u = around[0], around_v = around[1];
  float u = 0.0f, v = 0.0f;
  if (sample > 0) {
    const float* z = noise + ((seen * hypotheses + sample - 1) * kJoints + joint) * 2;
    u = z[0], v = z[1];
  }
  const float weight = fminf(fmaxf(confidence[seen * kJoints + joint], kLeastConfidence), 1.0f) * view_mask[seen];
  const float* matrix = projections + seen * 12;
  const float* image_row = matrix + 4 * (part % 2);
  const Vector image = vector_at(image_row), depth = vector_at(matrix + 8);
  const float image_w = image_row[3], depth_w = matrix[11];
  __syncthreads();

#pragma unroll
  for (int layer = 0; layer < kFlowLayers; ++layer) {
    const float by = layer % 2 == 0 ? v : u;
    float log_scale = 0.0f, move = 0.0f;
#pragma unroll
    for (int i = 0; i < kQuads; ++i) {
      const int quad = layer * (kFlowHidden / 4) + kViewLanes * i + part;
      const float4 a = from[quad], c = given[layer][i], first = to[2 * quad], second = to[2 * quad + 1];
      const float h0 = fmaxf(by * a.x + c.x, 0.0f), h1 = fmaxf(by * a.y + c.y, 0.0f);
      const float h2 = fmaxf(by * a.z + c.z, 0.0f), h3 = fmaxf(by * a.w + c.w, 0.0f);
      log_scale += (h0 * first.x + h1 * first.z) + (h2 * second.x + h3 * second.z);
      move += (h0 * first.y + h1 * first.w) + (h2 * second.y + h3 * second.w);
    }
    log_scale = add_over(add_over(log_scale, 1), 2);
    move = add_over(add_over(move, 1), 2);
    const float scale = expf(kMostLogScale * tanhf(log_scale));
    if (layer % 2 == 0) {
      u = u * scale + move;
    } else {
      v = v * scale + move;
    }
  }
  u = u * expf(kMostLogScale * tanhf(last.z) + kLogSpread) + (around_u + last.x * kSpread);
  v = v * expf(kMostLogScale * tanhf(last.w) + kLogSpread) + (around_v + last.y * kSpread);
  const bool writes = !for_palm && own < count;
  if (writes && sample == 0 && there && part == 0) {
    float* out = keypoints + (seen * kJoints + joint) * 2;
    out[0] = u, out[1] = v;
  }

  // A plane through the camera and the pixel, of unit normal: an even lane has that of u, an odd one that of v.
  const float at = part % 2 == 0 ? u : v;
  Vector side = minus(times(at, depth), image);
  float offset = at * depth_w - image_w;
  const float length = there ? weight * inverse_sqrt(fmaxf(dot(side, side), kSmallest)) : 0.0f;
  side = times(length, side);
  offset *= length;
  const Symmetric normal{add_rows(side.x * side.x), add_rows(side.x * side.y), add_rows(side.x * side.z),
                         add_rows(side.y * side.y), add_rows(side.y * side.z), add_rows(side.z * side.z)};
  const Vector right = add_rows(times(offset, side));
  const Symmetric inverse = normal.inverse();
  Vector place = times(-1.0f, inverse.on(right));
#pragma unroll
  for (int i = 0; i < kRefinements; ++i) {
    // The residual is taken of the rows, before they were squared.
    const float residual = dot(side, place) + offset;
    place = minus(place, inverse.on(add_rows(times(residual, side))));
  }
  if (for_palm && lane == 0) palm[warp][0] = place.x, palm[warp][1] = place.y, palm[warp][2] = place.z;
  __syncthreads();

  if (!writes || lane > 0) return;
  const Vector middle = vector_at(palm[2]);
  const Axes frame = palm_axes(vector_at(palm[0]), vector_at(palm[1]), middle, vector_at(palm[3]));
  if (point == 0) frame.store(axes + 9 * static_cast<size_t>(blockIdx.y));
  float* out = points + (static_cast<size_t>(blockIdx.y) * count + point) * 3;
  out[0] = place.x, out[1] = place.y, out[2] = place.z;
  const Vector in_hand = times(kHandUnits, frame.seen(minus(place, middle)));
  out = sample == 0 ? start_in_hand + (static_cast<size_t>(blockIdx.y) * kJoints + joint) * 3
                    : anchors_in_hand + (static_cast<size_t>(blockIdx.y) * (count - kJoints) + point - kJoints) * 3;
  out[0] = in_hand.x, out[1] = in_hand.y, out[2] = in_hand.z;
}
