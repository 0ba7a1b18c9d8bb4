// The kernels that read maps on the host; launched as engine/kernels/library.py launches them.
#include "cuda_on_host.h"
// After it, what of CUDA they are made of being defined.
#include "heatmaps.cu"

extern "C" void host_heatmaps(const float* features, const float* weight, const float* bias, const float* sharpness,
                              float* parts, float* joints, float* confidence, int count, int channels, int height,
                              int width) {
  const unsigned pictures = count, cells = height * width;
  float4* float4s = reinterpret_cast<float4*>(parts);
  on_host::launch(Dim3{(cells + 63) / 64, pictures, 1}, Dim3{192, 1, 1}, [=] {
    usthand_heatmap_parts(features, weight, bias, sharpness, float4s, channels, height, width);
  });
  on_host::launch(Dim3{21 * pictures, 1, 1}, Dim3{32, 1, 1}, [=] {
    usthand_heatmap_joints(float4s, sharpness, joints, confidence, (height * width + 31) / 32);
  });
}
