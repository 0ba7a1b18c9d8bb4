#pragma once

// Unreal's build tool defines USTHANDCORE_API; elsewhere the core is compiled into its user.
#ifndef USTHANDCORE_API
#define USTHANDCORE_API
#endif
