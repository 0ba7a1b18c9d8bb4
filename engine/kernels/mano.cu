// MANO of refined joints: what goes into the head's network, and the hand that its answer makes. The network itself,
// three products of matrices, is PyTorch's. The functions are those of engine/network/mano_head.py and hand_layer.py.
//
// All pointers are to contiguous float32 on the device; N hands, D channels. None is said to be the only one to its memory:
// what is read would then be loaded where it is used, which is later, and waited for there.
//
// usthand_mano_input: grid (21, N, 1), block (D, 1, 1), D being 32, 64, 96 or 128. A block for each joint.
//   joints (N, 21, 3), features (N, 21, D), norm_weight and norm_bias (D), weight (D, 32), bias (32): read.
//   seen (N, 21, 35): written; 32 channels and the place in the hand's frame.
//
// usthand_mano: grid (N, 1, 1), block (256, 1, 1). A block for each hand; what depends on each other goes through shared
// memory, and what does not is done by different warps at a time.
//   joints (N, 21, 3), parameters (N, 106), point_template (21, 3), point_directions (21, 3, 10), tip_weights (5, 16) and,
//   if `posed`, tip_directions (15, 135): read. Points are MANO's 16 joints and five tips.
//   The answer, as `ManoOutput` has it: written.

#include "hand_math.h"

namespace usthand::mano {

using namespace hand;

constexpr int kManoJoints = 16, kShape = 10;
constexpr int kParameters = 6 * kManoJoints + kShape;
constexpr int kPoseFeatures = 9 * (kManoJoints - 1);
constexpr int kEmbedded = 32;
constexpr float kMostShape = 3.0f;

// Where canonical joint `joint` is among MANO's joints and tips: fingers are thumb to little there, and index, middle,
// little, ring, thumb here.
USTHAND_BOTH int mano_of(int joint) {
  if (joint == 0) return 0;
  const int finger = (joint - 1) / 4, level = (joint - 1) % 4;
  return level == 3 ? kManoJoints + finger : 1 + 3 * ((0x23104 >> (4 * finger)) & 15) + level;
}

// The first canonical joint of MANO's finger.
USTHAND_BOTH int knuckle_of(int finger) { return 1 + 4 * ((0x03421 >> (4 * finger)) & 15); }

// Canonical joints of the palm: the wrist and the five knuckles.
USTHAND_BOTH int palm_joint(int number) { return number == 0 ? 0 : 4 * number - 3; }

__device__ __forceinline__ float warp_sum(float value, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

}  // namespace usthand::mano

extern "C" __global__ void __launch_bounds__(128)
    usthand_mano_input(const float* joints, const float* features, const float* norm_weight, const float* norm_bias,
                       const float* weight, const float* bias, float* seen) {
  using namespace usthand::mano;
  __shared__ float partial[4][kEmbedded];
  const int joint = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warps = blockDim.x / 32, channels = blockDim.x;
  const size_t row = static_cast<size_t>(blockIdx.y) * kJoints + joint;
  joints += static_cast<size_t>(blockIdx.y) * kJoints * 3;
  features += row * channels;

  // All that is read, at once. Each warp takes the sums of all channels, and then its own 32 of them to its share of the
  // products.
  float values[4];
  for (int i = 0; i < 4; ++i) values[i] = i < warps ? features[32 * i + lane] : 0.0f;
  float weights[32];
#pragma unroll
  for (int i = 0; i < 32; ++i) weights[i] = weight[(32 * warp + i) * kEmbedded + lane];
  const float gain = norm_weight[threadIdx.x], offset = norm_bias[threadIdx.x];
  const float start = bias[lane];
  const Vector wrist = vector_at(joints), index = vector_at(joints + 3 * 5), middle = vector_at(joints + 3 * 9);
  const Vector little = vector_at(joints + 3 * 17), here = vector_at(joints + 3 * joint);
  const float mean = warp_sum((values[0] + values[1]) + (values[2] + values[3]), 32) / static_cast<float>(channels);
  float squares = 0.0f, own = 0.0f;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float apart = values[i] - mean;
    if (i < warps) squares += apart * apart;
    if (i == warp) own = apart;
  }
  const float variance = warp_sum(squares, 32) / static_cast<float>(channels);
  own = own * inverse_sqrt(variance + 1e-5f) * gain + offset;
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < 32; ++i) sum += __shfl_sync(0xffffffffu, own, i) * weights[i];
  partial[warp][lane] = sum;
  __syncthreads();
  float* out = seen + row * (kEmbedded + 3);
  if (warp == 0) {
    sum = start;
    for (int i = 0; i < warps; ++i) sum += partial[i][lane];
    out[lane] = fmaxf(sum, 0.0f);
  }
  if (warp == warps - 1 && lane == 0) {
    const Vector place = times(kHandUnits, palm_axes(wrist, index, middle, little).seen(minus(here, middle)));
    out[kEmbedded] = place.x, out[kEmbedded + 1] = place.y, out[kEmbedded + 2] = place.z;
  }
}

extern "C" __global__ void __launch_bounds__(256)
    usthand_mano(const float* joints, const float* parameters, const float* point_template,
                 const float* point_directions, const float* tip_weights, const float* tip_directions,
                 float* posed_joints, float* rotations, float* shape, float* translation, float* rest_points,
                 float* global_rotations, float* mano_joints, int posed) {
  using namespace usthand::mano;
  __shared__ float wanted[kJoints * 3], given[kParameters], shaped[kShape];
  __shared__ float corrections[kManoJoints][9], local[kManoJoints][9], globally[kManoJoints][9];
  __shared__ float palm[9], rest_palm[9], turned_palm[9];
  __shared__ float seen_bones[15][3], rest_bones[15][3];
  __shared__ float rest[kJoints * 3];                // MANO's joints, then the tips
  __shared__ float unmoved[kJoints * 3];             // the same, posed
  __shared__ float offsets[kManoJoints][3], tip_places[16], moved[3];
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const size_t hand = blockIdx.x;
  joints += hand * kJoints * 3;
  parameters += hand * kParameters;

  // All that is read, at once. A thread from 240 on has nothing to do with tips.
  const int tip_number = thread / 16, bone = thread % 16;
  float directions[kShape] = {}, columns[9] = {}, base = 0.0f, share = 0.0f;
  if (thread < kJoints * 3) {
    wanted[thread] = joints[thread];
    base = point_template[thread];
#pragma unroll
    for (int i = 0; i < kShape; ++i) directions[i] = point_directions[thread * kShape + i];
  }
  if (thread >= 64 && thread < 64 + kParameters) given[thread - 64] = parameters[thread - 64];
  if (tip_number < 15) {
    share = tip_weights[tip_number / 3 * kManoJoints + bone];
    if (posed && bone < 15) {
#pragma unroll
      for (int i = 0; i < 9; ++i) columns[i] = tip_directions[tip_number * kPoseFeatures + bone * 9 + i];
    }
  }
  __syncthreads();

  if (warp == 0 && lane < kManoJoints) axes_from_6d(given + 6 * lane).store(corrections[lane]);
  if (warp == 1 && lane < kShape) shaped[lane] = kMostShape * tanhf(given[6 * kManoJoints + lane] / kMostShape);
  if (warp == 2 && lane == 0) {
    palm_axes(vector_at(wanted), vector_at(wanted + 3 * 5), vector_at(wanted + 3 * 9), vector_at(wanted + 3 * 17))
        .store(palm);
  }
  if (warp == 3 && lane < 15) {
    const float* at = wanted + 3 * (knuckle_of(lane / 3) + lane % 3);
    const Vector along = normalised(minus(vector_at(at + 3), vector_at(at)));
    seen_bones[lane][0] = along.x, seen_bones[lane][1] = along.y, seen_bones[lane][2] = along.z;
  }
  __syncthreads();

  if (thread < kJoints * 3) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kShape; ++i) sum += directions[i] * shaped[i];
    rest[thread] = base + sum;
  }
  if (warp == 2 && lane < 9) {
    const int r = lane / 3, c = lane % 3;
    turned_palm[lane] =
        palm[3 * r] * corrections[0][c] + palm[3 * r + 1] * corrections[0][3 + c] + palm[3 * r + 2] * corrections[0][6 + c];
  }
  __syncthreads();

  if (warp == 0) {
    if (lane == 0) {
      palm_axes(vector_at(rest), vector_at(rest + 3 * mano_of(5)), vector_at(rest + 3 * mano_of(9)),
                vector_at(rest + 3 * mano_of(17)))
          .store(rest_palm);
    }
    __syncwarp();
    if (lane < 9) {
      const float* left = turned_palm + 3 * (lane / 3);
      const float* right = rest_palm + 3 * (lane % 3);
      local[0][lane] = globally[0][lane] = left[0] * right[0] + left[1] * right[1] + left[2] * right[2];
    }
  }
  if (warp == 1 && lane < 15) {
    const int first = knuckle_of(lane / 3) + lane % 3;
    const Vector along = normalised(minus(vector_at(rest + 3 * mano_of(first + 1)), vector_at(rest + 3 * mano_of(first))));
    rest_bones[lane][0] = along.x, rest_bones[lane][1] = along.y, rest_bones[lane][2] = along.z;
  }
  __syncthreads();

  // Each finger by one thread: what a joint turns by depends on all before it.
  if (thread < 5) {
    Axes turned = axes_at(globally[0]);
#pragma unroll
    for (int level = 0; level < 3; ++level) {
      const int number = 3 * thread + level;
      const Vector end = turned.seen(vector_at(seen_bones[number]));
      const Axes turn = product(swing(vector_at(rest_bones[number]), end), axes_at(corrections[1 + number]));
      turned = product(turned, turn);
      turn.store(local[1 + number]);
      turned.store(globally[1 + number]);
    }
  }
  __syncthreads();

  // A joint lies where its parent's rotation takes its bone.
  if (thread < 15) {
    const int finger = thread / 3, c = thread % 3;
    float place = rest[c];
    int parent = 0;
#pragma unroll
    for (int level = 0; level < 3; ++level) {
      const int number = 1 + 3 * finger + level;
      const float* row = globally[parent] + 3 * c;
      const float* to = rest + 3 * number;
      const float* from = rest + 3 * parent;
      place += row[0] * (to[0] - from[0]) + row[1] * (to[1] - from[1]) + row[2] * (to[2] - from[2]);
      unmoved[3 * number + c] = place;
      parent = number;
    }
  }
  if (thread < 3) unmoved[thread] = rest[thread];
  // The rest pose's tips, with what the pose corrects of them: a thread for each joint's share of each number.
  float corrected = 0.0f;
  if (posed) {
    if (tip_number < 15 && bone < 15) {
#pragma unroll
      for (int i = 0; i < 9; ++i) corrected += (local[1 + bone][i] - (i % 4 == 0 ? 1.0f : 0.0f)) * columns[i];
    }
    corrected = warp_sum(corrected, 16);
  }
  if (tip_number < 15 && bone == 0) tip_places[tip_number] = rest[3 * kManoJoints + tip_number] + corrected;
  __syncthreads();

  if (thread < 3 * kManoJoints) {
    const int number = thread / 3, c = thread % 3;
    const float* row = globally[number] + 3 * c;
    const float* at = rest + 3 * number;
    offsets[number][c] = unmoved[thread] - (row[0] * at[0] + row[1] * at[1] + row[2] * at[2]);
  }
  if (warp == 2 && lane < 3) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 6; ++i) sum += wanted[3 * palm_joint(i) + lane] - unmoved[3 * mano_of(palm_joint(i)) + lane];
    moved[lane] = sum / 6.0f;
  }
  __syncthreads();

  // Tips by linear blend skinning: a thread for each joint's share of each number.
  float skinned = 0.0f;
  if (tip_number < 15) {
    const float* row = globally[bone] + 3 * (tip_number % 3);
    const float* at = tip_places + 3 * (tip_number / 3);
    skinned = share * ((row[0] * at[0] + row[1] * at[1] + row[2] * at[2]) + offsets[bone][tip_number % 3]);
  }
  skinned = warp_sum(skinned, 16);
  if (tip_number < 15 && bone == 0) unmoved[3 * kManoJoints + tip_number] = skinned;
  __syncthreads();

  if (thread < 3 * kJoints) {
    const int joint = thread / 3, c = thread % 3;
    posed_joints[hand * kJoints * 3 + thread] = unmoved[3 * mano_of(joint) + c] + moved[c];
    rest_points[hand * kJoints * 3 + thread] = rest[thread];
  }
  if (thread < 3 * kManoJoints) mano_joints[hand * kManoJoints * 3 + thread] = unmoved[thread] + moved[thread % 3];
  if (thread < 9 * kManoJoints) {
    rotations[hand * kManoJoints * 9 + thread] = local[thread / 9][thread % 9];
    global_rotations[hand * kManoJoints * 9 + thread] = globally[thread / 9][thread % 9];
  }
  if (thread >= 160 && thread < 160 + kShape) shape[hand * kShape + thread - 160] = shaped[thread - 160];
  if (thread >= 192 && thread < 195) translation[hand * 3 + thread - 192] = moved[thread - 192];
}
