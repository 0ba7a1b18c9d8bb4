// Vectors, rotations and the palm's frame: engine/network/hand_frame.py and mano_head.py, number by number.
#pragma once

#include <cmath>

#ifdef __CUDACC__
#define USTHAND_BOTH __host__ __device__ __forceinline__
#else
#define USTHAND_BOTH inline
#endif

namespace usthand::hand {

constexpr int kJoints = 21;
constexpr float kTiny = 1e-9f;       // keeps the length of a vector from zero
constexpr float kHandUnits = 10.0f;  // units of the hand's frame in a metre

USTHAND_BOTH float inverse_sqrt(float value) {
#ifdef __CUDA_ARCH__
  return rsqrtf(value);
#else
  return 1.0f / sqrtf(value);
#endif
}

struct Vector {
  float x, y, z;
};

USTHAND_BOTH Vector vector_at(const float* numbers) { return Vector{numbers[0], numbers[1], numbers[2]}; }

USTHAND_BOTH Vector plus(Vector a, Vector b) { return Vector{a.x + b.x, a.y + b.y, a.z + b.z}; }

USTHAND_BOTH Vector minus(Vector a, Vector b) { return Vector{a.x - b.x, a.y - b.y, a.z - b.z}; }

USTHAND_BOTH Vector times(float factor, Vector a) { return Vector{factor * a.x, factor * a.y, factor * a.z}; }

USTHAND_BOTH float dot(Vector a, Vector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

USTHAND_BOTH Vector cross(Vector a, Vector b) {
  return Vector{a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

USTHAND_BOTH Vector normalised(Vector a) { return times(inverse_sqrt(dot(a, a) + kTiny), a); }

// A rotation by its columns.
struct Axes {
  Vector x, y, z;

  // Row by row, as tensors have it.
  USTHAND_BOTH void store(float* rows) const {
    rows[0] = x.x, rows[1] = y.x, rows[2] = z.x;
    rows[3] = x.y, rows[4] = y.y, rows[5] = z.y;
    rows[6] = x.z, rows[7] = y.z, rows[8] = z.z;
  }

  // A vector along these axes.
  USTHAND_BOTH Vector seen(Vector a) const { return Vector{dot(x, a), dot(y, a), dot(z, a)}; }
};

USTHAND_BOTH Axes axes_at(const float* rows) {
  return Axes{Vector{rows[0], rows[3], rows[6]}, Vector{rows[1], rows[4], rows[7]}, Vector{rows[2], rows[5], rows[8]}};
}

USTHAND_BOTH Vector turned_by(const Axes& turn, Vector a) {
  return plus(plus(times(a.x, turn.x), times(a.y, turn.y)), times(a.z, turn.z));
}

USTHAND_BOTH Axes product(const Axes& left, const Axes& right) {
  return Axes{turned_by(left, right.x), turned_by(left, right.y), turned_by(left, right.z)};
}

// `palm_rotation`: Gram-Schmidt on the wrist and three knuckles.
USTHAND_BOTH Axes palm_axes(Vector wrist, Vector index, Vector middle, Vector little) {
  const Vector along = normalised(minus(middle, wrist));
  const Vector wide = minus(index, little);
  const Vector across = normalised(minus(wide, times(dot(wide, along), along)));
  return Axes{along, across, cross(along, across)};
}

// `rotation_from_6d`: counted from the identity.
USTHAND_BOTH Axes axes_from_6d(const float* numbers) {
  const Vector x = normalised(Vector{numbers[0] + 1.0f, numbers[1], numbers[2]});
  const Vector second{numbers[3], numbers[4] + 1.0f, numbers[5]};
  const Vector y = normalised(minus(second, times(dot(x, second), x)));
  return Axes{x, y, cross(x, y)};
}

// `swing`: the least rotation from one unit vector to another, of 120 degrees at most.
USTHAND_BOTH Axes swing(Vector start, Vector end) {
  const float along = dot(start, end);
  const float limited = fmaxf(along, -0.5f);
  const float wanted = fmaxf(1.0f - limited * limited, 0.0f) + kTiny;
  const Vector off = minus(end, times(along, start));
  const Vector w = cross(start, times(sqrtf(wanted / (dot(off, off) + kTiny)), off));
  const float share = 1.0f / (1.0f + limited);
  // I + S + S S / (1 + cosine), S being the matrix of w's cross product: S S = w w' - |w|^2 I.
  const float diagonal = 1.0f - share * dot(w, w);
  const Vector scaled = times(share, w);
  return Axes{Vector{diagonal + scaled.x * w.x, w.z + scaled.x * w.y, -w.y + scaled.x * w.z},
              Vector{-w.z + scaled.y * w.x, diagonal + scaled.y * w.y, w.x + scaled.y * w.z},
              Vector{w.y + scaled.z * w.x, -w.x + scaled.z * w.y, diagonal + scaled.z * w.z}};
}

}  // namespace usthand::hand
