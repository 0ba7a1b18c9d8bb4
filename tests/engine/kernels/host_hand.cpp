// The hand's kernels on the host; launched as engine/kernels/library.py launches them.
#include "cuda_on_host.h"
// After it, what of CUDA they are made of being defined.
#include "flow.cu"
#include "mano.cu"

extern "C" void host_flow_conditions(const float* fused, const float* first_weight, const float* first_bias,
                                     const float* second_weight, const float* second_bias, float* conditions, int rows,
                                     int channels) {
  on_host::launch(Dim3{static_cast<unsigned>(rows + 3) / 4, 1, 1}, Dim3{288, 1, 1}, [=] {
    usthand_flow_conditions(fused, first_weight, first_bias, second_weight, second_bias, conditions, rows, channels);
  });
}

extern "C" void host_flow_cloud(const float* conditions, const float* center, const float* noise,
                                const float* confidence, const float* view_mask, const float* projections,
                                const float* from_coordinate, const float* to_scale_shift, float* keypoints,
                                float* points, float* axes, float* start_in_hand, float* anchors_in_hand,
                                unsigned hands, int views, int hypotheses) {
  on_host::launch(Dim3{static_cast<unsigned>(21 * (1 + hypotheses) + 7) / 8, hands, 1}, Dim3{384, 1, 1}, [=] {
    usthand_flow_cloud(conditions, center, noise, confidence, view_mask, projections, from_coordinate, to_scale_shift,
                       keypoints, points, axes, start_in_hand, anchors_in_hand, views, hypotheses);
  });
}

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
