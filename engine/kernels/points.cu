// What maps show at places: of joints in crops, and of points that several views see, joined over the views.
//
// Maps (..., height, width, channels) float32, 16-byte aligned, channels a multiple of 4 and at most 128.

#include "maps_core.h"

namespace usthand::maps {

constexpr float kLeastDepth = 0.01f;
constexpr float kFarthest = 2.0f;
constexpr float kMaskedLogit = -1e9f;
constexpr int kMostViews = 16;
constexpr int kMostPointPieces = 32;

}  // namespace usthand::maps

// Grid (ceil(places_count / rows), pictures, 1), block (channels / 4, rows, 1): a thread makes four channels at a place.
// Places (pictures, places_count, 2) in crop coordinates; samples (pictures, places_count, channels), 16-byte aligned.
extern "C" __global__ void __launch_bounds__(128)
    usthand_sample_maps(const float* __restrict__ maps, const float* __restrict__ places, float* __restrict__ samples,
                        int height, int width, int places_count) {
  using namespace usthand::maps;
  const int pieces = blockDim.x, piece = threadIdx.x;
  const int number = blockIdx.x * blockDim.y + threadIdx.y;
  if (number >= places_count) return;
  const size_t row = static_cast<size_t>(blockIdx.y) * places_count + number;
  const Between x = between_cells(__ldg(places + 2 * row), width);
  const Between y = between_cells(__ldg(places + 2 * row + 1), height);
  const float4* map = reinterpret_cast<const float4*>(maps) + static_cast<size_t>(blockIdx.y) * height * width * pieces;
  reinterpret_cast<float4*>(samples)[row * pieces + piece] = sampled(map + piece, x, y, width, pieces);
}

// Grid (points_count, batch, 1), 32 threads a view: a block makes one point's feature. A warp projects the point into its
// view, samples the view's map and the encoding there, adds what the view's confidence says and cuts off at zero; the
// first warp joins the views by a softmax of what a row of weights says of them.
//
// Maps (batch, views, height, width, channels); the encoding of a cell is the sum of what it is across (width, channels)
// and down (height, channels); projections (batch, views, 3, 4); points (batch, points_count, 3); confidence (batch,
// views, points_count); mask (batch, views); rows (3, channels): the confidence's weights, what is added, the logits'
// weights; features (batch, points_count, channels). What has channels is 16-byte aligned; at most 16 views.
extern "C" __global__ void __launch_bounds__(512)
    usthand_see_points(const float* __restrict__ maps, const float* __restrict__ across, const float* __restrict__ down,
                       const float* __restrict__ projections, const float* __restrict__ points,
                       const float* __restrict__ confidence, const float* __restrict__ mask,
                       const float* __restrict__ rows, float* __restrict__ features, int channels, int height, int width, int views, int points_count) {
  using namespace usthand::maps;
  __shared__ float4 seen[kMostViews * kMostPointPieces];
  __shared__ float logits[kMostViews];
  const int view = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int pieces = channels / 4;
  const size_t picture = static_cast<size_t>(blockIdx.y) * views + view;
  const size_t point = static_cast<size_t>(blockIdx.y) * points_count + blockIdx.x;
  const bool some = lane < pieces;
  // A lane without channels reads those of the first, and adds nothing.
  const int piece = some ? lane : 0;

  const float* p = projections + 12 * picture;
  const float a = __ldg(points + 3 * point), b = __ldg(points + 3 * point + 1), c = __ldg(points + 3 * point + 2);
  const float sure = __ldg(confidence + picture * points_count + blockIdx.x);
  const float masked = (1.0f - __ldg(mask + picture)) * kMaskedLogit;
  const float4* row_pieces = reinterpret_cast<const float4*>(rows) + piece;
  const float4 sure_weight = __ldg(row_pieces), bias = __ldg(row_pieces + pieces), says = __ldg(row_pieces + 2 * pieces);
  const float along_x = __ldg(p) * a + __ldg(p + 1) * b + __ldg(p + 2) * c + __ldg(p + 3);
  const float along_y = __ldg(p + 4) * a + __ldg(p + 5) * b + __ldg(p + 6) * c + __ldg(p + 7);
  const float away = __ldg(p + 8) * a + __ldg(p + 9) * b + __ldg(p + 10) * c + __ldg(p + 11);
  const float depth = fmaxf(away, kLeastDepth);
  const Between x = between_cells(fminf(fmaxf(along_x / depth, -kFarthest), kFarthest), width);
  const Between y = between_cells(fminf(fmaxf(along_y / depth, -kFarthest), kFarthest), height);

  const float4* across_pieces = reinterpret_cast<const float4*>(across) + piece;
  const float4* down_pieces = reinterpret_cast<const float4*>(down) + piece;
  const float4 left = __ldg(across_pieces + x.low * pieces), right = __ldg(across_pieces + x.high * pieces);
  const float4 upper = __ldg(down_pieces + y.low * pieces), lower = __ldg(down_pieces + y.high * pieces);
  const float4* map = reinterpret_cast<const float4*>(maps) + picture * height * width * pieces;
  float4 value = sampled(map + piece, x, y, width, pieces);
  const float x_inside = x.low_share + x.high_share, y_inside = y.low_share + y.high_share;
  add(value, y_inside * x.low_share, left);
  add(value, y_inside * x.high_share, right);
  add(value, x_inside * y.low_share, upper);
  add(value, x_inside * y.high_share, lower);
  add(value, sure, sure_weight);
  add(value, 1.0f, bias);
  value = float4{fmaxf(value.x, 0.0f), fmaxf(value.y, 0.0f), fmaxf(value.z, 0.0f), fmaxf(value.w, 0.0f)};
  const float logit = warp_sum(some ? dot(value, says) : 0.0f) + masked;
  if (some) seen[view * pieces + lane] = value;
  if (lane == 0) logits[view] = logit;
  __syncthreads();

  if (view != 0 || !some) return;
  float peak = logits[0];
  for (int other = 1; other < views; ++other) peak = fmaxf(peak, logits[other]);
  float total = 0.0f;
  float4 sum = float4{0.0f, 0.0f, 0.0f, 0.0f};
  for (int other = 0; other < views; ++other) {
    const float share = expf(logits[other] - peak);
    total += share;
    add(sum, share, seen[other * pieces + lane]);
  }
  reinterpret_cast<float4*>(features)[point * pieces + lane] = weighted(1.0f / total, sum);
}
