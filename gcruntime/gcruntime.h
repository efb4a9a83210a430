// The runtime's public face: managed memory and fibers.
#pragma once

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/allocs_per_run.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"
