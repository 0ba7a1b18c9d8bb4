#pragma once

#include <string>
#include <vector>

#include "USTHand/Bones.h"
#include "USTHand/Messages.h"

/** Says a message as a JSON line, every number with all its digits, for other programs to compare. */
std::string SayMessage(const usthand::StreamMessage& message);

/** Says a hand's bones as a JSON line. */
std::string SayBones(const usthand::BoneTree& tree, const std::vector<usthand::Transform>& bones);
