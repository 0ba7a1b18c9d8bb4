// As much of CUDA as the kernels use, on the host: a block of threads as coroutines of one thread, which take turns at
// what a warp or the block does together. What runs is the kernels' own source.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __restrict__

struct Dim3 {
  unsigned x, y, z;
};
static Dim3 blockIdx, threadIdx, blockDim, gridDim;

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};

using std::max;
using std::min;

namespace on_host {

constexpr int kLanes = 32;

struct Thread {
  ucontext_t context;
  std::vector<char> stack;
  Dim3 index;
  int together;  // how often it has done something together with its warp
  int barriers;  // how often it has come to the block's barrier
  bool done;
};

static std::vector<Thread> threads;
static size_t running;
static ucontext_t outside;
static std::function<void()> body;

struct Warp {
  // Two, since one thread may be at the next exchange while another still reads of this one.
  uint32_t exchanged[2][kLanes];
};

static std::vector<Warp> warps;

static void enter() {
  body();
  threads[running].done = true;
  swapcontext(&threads[running].context, &outside);
}

// Hand a number in, and wait until all of the warp have done so.
static const uint32_t* exchange(uint32_t value) {
  Thread& thread = threads[running];
  uint32_t* round = warps[running / kLanes].exchanged[thread.together++ % 2];
  round[running % kLanes] = value;
  swapcontext(&thread.context, &outside);
  return round;
}

// Wait until all of the block have come here.
static void barrier() {
  const size_t own = running;
  const int arrived = ++threads[own].barriers;
  const auto behind = [arrived](const Thread& other) { return !other.done && other.barriers < arrived; };
  do {
    swapcontext(&threads[own].context, &outside);
  } while (std::any_of(threads.begin(), threads.end(), behind));
}

static void launch(Dim3 grid, Dim3 block, const std::function<void()>& kernel) {
  body = kernel;
  blockDim = block;
  gridDim = grid;
  threads.resize(block.x * block.y);
  warps.resize((threads.size() + kLanes - 1) / kLanes);
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
        for (size_t i = 0; i < threads.size(); ++i) {
          Thread& thread = threads[i];
          thread.stack.resize(64 * 1024);
          thread.index = Dim3{static_cast<unsigned>(i % block.x), static_cast<unsigned>(i / block.x), 0};
          thread.together = 0;
          thread.barriers = 0;
          thread.done = false;
          getcontext(&thread.context);
          thread.context.uc_stack.ss_sp = thread.stack.data();
          thread.context.uc_stack.ss_size = thread.stack.size();
          thread.context.uc_link = nullptr;
          makecontext(&thread.context, enter, 0);
        }
        for (bool some = true; some;) {
          some = false;
          for (running = 0; running < threads.size(); ++running) {
            if (threads[running].done) continue;
            threadIdx = threads[running].index;
            swapcontext(&outside, &threads[running].context);
            some = some || !threads[running].done;
          }
        }
      }
    }
  }
}

}  // namespace on_host

template <class Word>
static Word __shfl_sync(unsigned, Word value, int lane) {
  static_assert(sizeof(Word) == sizeof(uint32_t), "words of 32 bits are exchanged");
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits = on_host::exchange(bits)[lane];
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

template <class Word>
static Word __shfl_xor_sync(unsigned warp, Word value, int mask) {
  return __shfl_sync(warp, value, static_cast<int>(on_host::running % on_host::kLanes) ^ mask);
}

static unsigned __ballot_sync(unsigned, bool value) {
  const uint32_t* all = on_host::exchange(value);
  unsigned bits = 0;
  for (int lane = 0; lane < on_host::kLanes; ++lane) bits |= all[lane] << lane;
  return bits;
}

static void __syncwarp() { on_host::exchange(0); }

static void __syncthreads() { on_host::barrier(); }

template <class Value>
static Value __ldg(const Value* address) {
  return *address;
}

template <class Value>
static Value __ldcs(const Value* address) {
  return *address;
}

static int __popc(unsigned bits) { return __builtin_popcount(bits); }
