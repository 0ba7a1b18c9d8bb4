#pragma once

#include "USTHand/Export.h"
#include "USTHand/Geometry.h"

namespace usthand {

// OpenXR: right-handed, +X right, +Y up, -Z forward, metres. Unreal: left-handed, +X forward, +Y right, +Z up,
// centimetres. So Unreal's x, y, z are OpenXR's -z, x, y. The change mirrors, so that a rotation's axis, changed like a
// vector, turns the other way round: (z, -x, -y, w), which is the same rotation as (-z, x, y, -w).

/** Says a position, OpenXR metres, in Unreal's centimetres. */
USTHANDCORE_API Vec3 UnrealPosition(const Vec3& openxr_m);

/** Says a rotation of OpenXR's frame in Unreal's; a joint's own axes change with the frame. */
USTHANDCORE_API Quat UnrealRotation(const Quat& openxr);

}  // namespace usthand
