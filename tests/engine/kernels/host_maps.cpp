// The kernels that read maps on the host; launched as engine/kernels/library.py launches them.
#include "cuda_on_host.h"
// After it, what of CUDA they are made of being defined.
#include "heatmaps.cu"
#include "points.cu"

extern "C" void host_heatmaps(const float* features, const float* weight, const float* bias, const float* sharpness,
                              float* parts, float* joints, float* confidence, float* samples, int count,
                              int channels, int height, int width) {
  const unsigned pictures = count, cells = height * width;
  float4* float4s = reinterpret_cast<float4*>(parts);
  on_host::launch(Dim3{(cells + 63) / 64, pictures, 1}, Dim3{192, 1, 1}, [=] {
    usthand_heatmap_parts(features, weight, bias, sharpness, float4s, channels, height, width);
  });
  on_host::launch(Dim3{21 * pictures, 1, 1}, Dim3{32, 1, 1}, [=] {
    usthand_heatmap_joints(float4s, features, sharpness, joints, confidence, samples, channels, height, width);
  });
}

extern "C" void host_samples(const float* maps, const float* places, float* samples, int count, int channels,
                             int height, int width, int places_count) {
  const unsigned pictures = count, number = places_count;
  on_host::launch(Dim3{(number + 3) / 4, pictures, 1}, Dim3{static_cast<unsigned>(channels / 4), 4, 1},
                  [=] { usthand_sample_maps(maps, places, samples, height, width, places_count); });
}

extern "C" void host_points(const float* maps, const float* across, const float* down, const float* projections,
                            const float* points, const float* confidence, const float* mask, const float* rows,
                            float* features, int batch, int channels, int height, int width, int views,
                            int points_count) {
  const unsigned sets = batch, number = points_count, threads = 32 * views;
  on_host::launch(Dim3{number, sets, 1}, Dim3{threads, 1, 1}, [=] {
    usthand_see_points(maps, across, down, projections, points, confidence, mask, rows, features, channels, height, width, views, points_count);
  });
}
