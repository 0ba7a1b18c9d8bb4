#pragma once

#include <string>
#include <vector>

#include "USTHand/Export.h"
#include "USTHand/Geometry.h"
#include "USTHand/Messages.h"

namespace usthand {

/** A dialect's joints as bones in an order in which parents come before their children, as animation systems want. */
struct BoneTree {
    std::vector<std::string> names;
    std::vector<int> parents;       ///< Index into names; -1 for the root, which comes first.
    std::vector<int> source_joint;  ///< Which of the dialect's joints each bone is.
};

/**
 * Orders the joints of a hello.
 *
 * @param error Takes what was wrong: no root, more than one, or parents that go round in a circle.
 * @return Whether the joints are a tree.
 */
USTHANDCORE_API bool MakeBoneTree(const Hello& hello, BoneTree& tree, std::string& error);

/**
 * Says a hand's joints as Unreal bones relative to their parents; the root is relative to the service's origin.
 *
 * @param hello Of the stream: its dialect must be "unreal" or "openxr".
 * @param tree Of that hello.
 * @param bones Takes one transform a bone, centimetres.
 * @param error Takes what was wrong: another dialect, or a hand without joints or orientations.
 */
USTHANDCORE_API bool UnrealBones(
    const Hello& hello, const BoneTree& tree, const Hand& hand, std::vector<Transform>& bones, std::string& error);

}  // namespace usthand
