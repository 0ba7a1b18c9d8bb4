#include "USTHand/AxisMap.h"

namespace usthand {

Vec3 UnrealPosition(const Vec3& openxr_m) { return {-100 * openxr_m.z, 100 * openxr_m.x, 100 * openxr_m.y}; }

Quat UnrealRotation(const Quat& openxr) { return {openxr.z, -openxr.x, -openxr.y, openxr.w}; }

}  // namespace usthand
