// All kernels in one translation unit: one binary, loaded in one go.

#include "crops.cu"
#include "gather.cu"
#include "heatmaps.cu"
#include "interaction.cu"
#include "knn.cu"
#include "points.cu"
#include "stpt.cu"
