// Rectangles of pictures out of the host's page-locked memory, over the bus, to where the crops' kernel reads them.
//
// Launch: grid (any, crops, 1), block (a multiple of 8, 1, 1); the blocks of a crop share its rows. `places` and `pixels`
// are on the device, `pixels` at a multiple of 16; a place's source is an address of the host's memory that the device
// can read. Nothing is read of a crop that is not valid.
//
// A thread brings 16 bytes at a time, eight threads in a row the 128 of a line, which then crosses the bus as one request.
// A row starts and ends anywhere: its first and its last 16 bytes are read whole, which is never past a page's end, and
// locked memory is locked in whole pages. What they hold of the neighbouring pixels lands between the rows.
// Each thread has several loads on their way before it stores the first: of 8 crops that is 2 MiB, and the bus needs what
// it moves in one turn of 2 us, some 100 KiB, to be busy all the time.
//
// The host's memory changes from launch to launch, not during one, and a launch sees what the host wrote before it: L1 is
// empty when it starts, and the host's memory is read over the bus, where the processor's caches answer too. Each line is
// read once, by a load that does not keep it (ld.global.cs), and not by the read-only path.

#include "crops_core.h"

namespace usthand {
constexpr int kLineBytes = 128;
constexpr int kPieceBytes = 16;
constexpr unsigned kPiecesALine = kLineBytes / kPieceBytes;
constexpr int kLoads = 4;
}  // namespace usthand

extern "C" __global__ void __launch_bounds__(128)
    usthand_gather_pixels(const usthand::Place* __restrict__ places, uint8_t* __restrict__ pixels) {
  const usthand::Place place = places[blockIdx.y];
  if (!place.valid) return;
  const int row_bytes = 3 * place.width;
  // As many as a row touches at most, wherever it starts in its first one.
  const unsigned lines = (row_bytes + 2 * (usthand::kLineBytes - 1)) / usthand::kLineBytes;
  const unsigned count = lines * place.height * usthand::kPiecesALine;
  const unsigned threads = gridDim.x * blockDim.x;
  for (unsigned first = blockIdx.x * blockDim.x + threadIdx.x; first < count; first += usthand::kLoads * threads) {
    uint4 held[usthand::kLoads];
    uint4* target[usthand::kLoads];
#pragma unroll
    for (int i = 0; i < usthand::kLoads; ++i) {
      const unsigned number = first + i * threads;
      const unsigned line = number / usthand::kPiecesALine;
      const unsigned row = line / lines;
      const int64_t start = place.source + static_cast<int64_t>(row) * place.source_stride;
      const int64_t piece = (start & ~static_cast<int64_t>(usthand::kLineBytes - 1)) +
                            usthand::kLineBytes * (line - row * lines) +
                            usthand::kPieceBytes * (number % usthand::kPiecesALine);
      target[i] = nullptr;
      if (number < count && piece + usthand::kPieceBytes > start && piece < start + row_bytes) {
        held[i] = __ldcs(reinterpret_cast<const uint4*>(piece));
        target[i] = reinterpret_cast<uint4*>(pixels + place.offset + static_cast<int64_t>(row) * place.stride +
                                             (piece - start));
      }
    }
#pragma unroll
    for (int i = 0; i < usthand::kLoads; ++i) {
      if (target[i] != nullptr) *target[i] = held[i];
    }
  }
}
