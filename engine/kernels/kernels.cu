// All kernels in one translation unit: one binary, loaded in one go.

#include "crops.cu"
#include "flow.cu"
#include "gather.cu"
#include "heatmaps.cu"
#include "interaction.cu"
#include "knn.cu"
#include "mano.cu"
#include "points.cu"
#include "stpt.cu"
