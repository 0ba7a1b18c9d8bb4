#pragma once

namespace usthand {

/** A position or direction. */
struct Vec3 {
    double x = 0, y = 0, z = 0;
};

/** A rotation as a unit quaternion. */
struct Quat {
    double x = 0, y = 0, z = 0, w = 1;
};

/** Where something is and how it is turned. */
struct Transform {
    Vec3 position;
    Quat rotation;
};

inline Vec3 operator-(const Vec3& a, const Vec3& b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }

inline Quat operator*(const Quat& a, const Quat& b) {
    return {a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y, a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
            a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w, a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z};
}

inline Quat Inverse(const Quat& q) { return {-q.x, -q.y, -q.z, q.w}; }

inline Vec3 Rotate(const Quat& q, const Vec3& v) {
    const Quat turned = q * Quat{v.x, v.y, v.z, 0} * Inverse(q);
    return {turned.x, turned.y, turned.z};
}

}  // namespace usthand
