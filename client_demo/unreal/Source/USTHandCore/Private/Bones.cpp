#include "USTHand/Bones.h"

#include <cmath>

#include "USTHand/AxisMap.h"

namespace usthand {
namespace {

Quat Normalised(const Quat& q) {
    const double length = std::sqrt(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w);
    if (!(length > 0)) return {};
    return {q.x / length, q.y / length, q.z / length, q.w / length};
}

Transform JointOf(const Hand& hand, std::size_t joint, bool from_openxr) {
    const float* p = &hand.joints[3 * joint];
    const float* q = &hand.orientations[4 * joint];
    const Transform said{{p[0], p[1], p[2]}, Normalised({q[0], q[1], q[2], q[3]})};
    return from_openxr ? Transform{UnrealPosition(said.position), UnrealRotation(said.rotation)} : said;
}

}  // namespace

bool MakeBoneTree(const Hello& hello, BoneTree& tree, std::string& error) {
    const int count = static_cast<int>(hello.joint_names.size());
    tree = BoneTree();
    std::vector<int> bone_of(hello.joint_names.size(), -1);
    for (bool grew = true; grew;) {
        grew = false;
        for (int joint = 0; joint < count; ++joint) {
            const int parent = hello.parents[joint];
            if (parent < -1 || parent >= count) {
                error = "joint " + hello.joint_names[joint] + " has the parent " + std::to_string(parent) + " of " +
                        std::to_string(count) + " joints";
                return false;
            }
            if (bone_of[joint] >= 0 || (parent >= 0 && bone_of[parent] < 0)) continue;
            if (parent < 0 && !tree.names.empty()) {
                error = "joints " + tree.names[0] + " and " + hello.joint_names[joint] + " are both roots";
                return false;
            }
            bone_of[joint] = static_cast<int>(tree.names.size());
            tree.names.push_back(hello.joint_names[joint]);
            tree.parents.push_back(parent < 0 ? -1 : bone_of[parent]);
            tree.source_joint.push_back(joint);
            grew = true;
        }
    }
    if (static_cast<int>(tree.names.size()) != count) {
        error = "only " + std::to_string(tree.names.size()) + " of " + std::to_string(count) +
                " joints hang on a root; the others' parents go round in a circle";
        return false;
    }
    return true;
}

bool UnrealBones(
    const Hello& hello, const BoneTree& tree, const Hand& hand, std::vector<Transform>& bones, std::string& error) {
    const bool from_openxr = hello.dialect == "openxr";
    if (!from_openxr && hello.dialect != "unreal") {
        error = "the stream speaks the dialect '" + hello.dialect + "'; ask for unreal or openxr";
        return false;
    }
    if (hand.JointCount() != tree.names.size() || hand.orientations.size() != 4 * tree.names.size()) {
        error = "hand " + std::to_string(hand.id) + " has " + std::to_string(hand.JointCount()) + " joints and " +
                std::to_string(hand.orientations.size() / 4) + " orientations for " +
                std::to_string(tree.names.size()) + " bones; ask for the field joints";
        return false;
    }
    bones.clear();
    for (std::size_t bone = 0; bone < tree.names.size(); ++bone) {
        const Transform here = JointOf(hand, static_cast<std::size_t>(tree.source_joint[bone]), from_openxr);
        if (tree.parents[bone] < 0) {
            bones.push_back(here);
            continue;
        }
        const int parent_joint = tree.source_joint[static_cast<std::size_t>(tree.parents[bone])];
        const Transform parent = JointOf(hand, static_cast<std::size_t>(parent_joint), from_openxr);
        const Quat back = Inverse(parent.rotation);
        bones.push_back({Rotate(back, here.position - parent.position), back * here.rotation});
    }
    return true;
}

}  // namespace usthand
