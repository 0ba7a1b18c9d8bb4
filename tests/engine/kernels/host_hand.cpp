// The hand's kernels on the host; launched as engine/kernels/library.py launches them.
#include "cuda_on_host.h"
// After it, what of CUDA they are made of being defined.
#include "mano.cu"

extern "C" void host_mano_input(const float* joints, const float* features, const float* norm_weight,
                                const float* norm_bias, const float* weight, const float* bias, float* seen,
                                unsigned hands, unsigned channels) {
  on_host::launch(Dim3{21, hands, 1}, Dim3{channels, 1, 1}, [=] {
    usthand_mano_input(joints, features, norm_weight, norm_bias, weight, bias, seen);
  });
}

extern "C" void host_mano(const float* joints, const float* parameters, const float* points, const float* directions,
                          const float* tip_weights, const float* tip_directions, float* posed, float* rotations,
                          float* shape, float* translation, float* rest, float* globally, float* own, unsigned hands,
                          int corrected) {
  on_host::launch(Dim3{hands, 1, 1}, Dim3{256, 1, 1}, [=] {
    usthand_mano(joints, parameters, points, directions, tip_weights, tip_directions, posed, rotations, shape,
                 translation, rest, globally, own, corrected);
  });
}
