// Any kernel on the host by its name, with what cuLaunchKernel would be given.
#include "cuda_on_host.h"
// After it, what of CUDA they are made of being defined.
#include "kernels.cu"

#include <utility>

template <class... Argument, size_t... I>
static void call(void (*kernel)(Argument...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<Argument*>(arguments[I])...);
}

template <class... Argument>
static void launch(void (*kernel)(Argument...), Dim3 grid, Dim3 block, void** arguments) {
  on_host::launch(grid, block, [=] { call(kernel, arguments, std::index_sequence_for<Argument...>{}); });
}

extern "C" int host_launch(const char* name, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                           unsigned block_y, void** arguments) {
#define USTHAND_KERNEL(kernel)                                                                      \
  if (std::strcmp(name, #kernel) == 0) {                                                            \
    launch(kernel, Dim3{grid_x, grid_y, grid_z}, Dim3{block_x, block_y, 1}, arguments);             \
    return 0;                                                                                       \
  }
#include "names.inc"
  return 1;
}
