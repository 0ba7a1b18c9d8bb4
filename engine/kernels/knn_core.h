// What kNN is, apart from how a warp shares it out: for the GPU, and for tests that compile it for the host.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define USTHAND_BOTH __host__ __device__ __forceinline__
#else
#define USTHAND_BOTH inline
#endif

namespace usthand {

constexpr int kLanes = 32;
constexpr uint32_t kNothing = 0xffffffffu;  // later than every distance
constexpr uint32_t kNan = 0x7fc00000u;      // later than infinity

// Bits of the squared distance of two points. Distances are not negative, so their bits are ordered as they are.
// Each operation is rounded, none is fused: the bits are those of an exported graph, and ties are the same ties.
USTHAND_BOTH uint32_t distance_bits(const float* query, const float* point) {
#ifdef __CUDA_ARCH__
  const float x = __fsub_rn(query[0], point[0]);
  const float y = __fsub_rn(query[1], point[1]);
  const float z = __fsub_rn(query[2], point[2]);
  const float squared = __fadd_rn(__fadd_rn(__fmul_rn(x, x), __fmul_rn(y, y)), __fmul_rn(z, z));
  return squared == squared ? __float_as_uint(squared) : kNan;
#else
  const volatile float x = query[0] - point[0], y = query[1] - point[1], z = query[2] - point[2];
  const volatile float xx = x * x, yy = y * y, zz = z * z;
  const volatile float xy = xx + yy;
  const float squared = xy + zz;
  uint32_t bits;
  std::memcpy(&bits, &squared, sizeof bits);
  return squared == squared ? bits : kNan;
#endif
}

// A lane's share of the points: every 32nd, the lane's own number first. Slot s holds point 32 s + lane. The slots are in
// groups whose nearest are known, so that taking a point away looks at one group's slots and at the groups, not at all.
template <int GROUPS, int WIDTH>
struct Share {
  static constexpr int kSlots = GROUPS * WIDTH;

  uint32_t distances[GROUPS][WIDTH];
  uint32_t group_best[GROUPS];  // smallest distance of each group that is not taken
  int group_slot[GROUPS];       // where that is; the first of equals
  uint32_t best;                // the same of all groups
  int slot;

  USTHAND_BOTH void fill(const float* query, const float* points, int count, int lane) {
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) {
#pragma unroll
      for (int w = 0; w < WIDTH; ++w) {
        const int index = (g * WIDTH + w) * kLanes + lane;
        distances[g][w] = index < count ? distance_bits(query, points + 3 * index) : kNothing;
      }
    }
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) look(g);
    choose();
  }

  // Take the lane's nearest point away.
  USTHAND_BOTH void take() {
    take_from<0>();
    choose();
  }

 private:
  // Compared, not indexed: an index that is not known at compile time would move the arrays out of the registers. Each
  // branch ends in something of its own, or the compiler makes one branch of all, with such an index.
  template <int G>
  USTHAND_BOTH void take_from() {
    if (slot / WIDTH == G) {
#pragma unroll
      for (int w = 0; w < WIDTH; ++w) {
        if (slot == G * WIDTH + w) distances[G][w] = kNothing;
      }
      look(G);
#ifdef __CUDA_ARCH__
      asm volatile("// group %0" ::"n"(G));
#endif
    } else if constexpr (G + 1 < GROUPS) {
      take_from<G + 1>();
    }
  }

  USTHAND_BOTH void look(int g) {
    group_best[g] = kNothing;
    group_slot[g] = g * WIDTH;
#pragma unroll
    for (int w = 0; w < WIDTH; ++w) {
      if (distances[g][w] < group_best[g]) {
        group_best[g] = distances[g][w];
        group_slot[g] = g * WIDTH + w;
      }
    }
  }

  USTHAND_BOTH void choose() {
    best = group_best[0];
    slot = group_slot[0];
#pragma unroll
    for (int g = 1; g < GROUPS; ++g) {
      if (group_best[g] < best) {
        best = group_best[g];
        slot = group_slot[g];
      }
    }
  }
};

}  // namespace usthand
