// All kernels in one translation unit: one binary, loaded in one go.

#include "crops.cu"
#include "gather.cu"
#include "interaction.cu"
#include "knn.cu"
#include "stpt.cu"
