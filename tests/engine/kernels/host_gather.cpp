// The kernel that fetches pixels, on the host; launched as engine/kernels/library.py launches it.
#include "cuda_on_host.h"
// After it, what of CUDA it is made of being defined.
#include "gather.cu"

extern "C" void host_gather(const usthand::Place* places, uint8_t* pixels, int count, int blocks, int threads) {
  on_host::launch(Dim3{static_cast<unsigned>(blocks), static_cast<unsigned>(count), 1},
                  Dim3{static_cast<unsigned>(threads), 1, 1}, [=] { usthand_gather_pixels(places, pixels); });
}
