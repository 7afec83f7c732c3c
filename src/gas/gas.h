/*
 * The runtime's public face: a partitioned global address space in C, without Python.
 *
 *   gas_boot_create()  who am I            boot/boot.h
 *   gas_job_start()    my part of the job  job.h
 *   gas_am_send()      active messages     job.h, message.h
 *   gas_wait()         waiting, progress   wait.h, event.h
 *   gas_work_*()       work for the layer above    work.h
 *   gas_team_*()       teams               team.h
 *   gas_coll_*()       collective operations       collective.h, reduction.h, collectives/table.h
 *   gas_mailbox_*()    messages by tag     mailbox.h
 *   gas_failure_*()    ranks that failed   failure.h
 *   gas_waiting_*()    who waits for what  waiting.h
 *   gas_pool_*()       landing memory      pool.h
 *   gas_thread_start() threads of our own  thread.h
 *   gas_traffic_*()    what has been sent and received    traffic.h
 *   gas_segment_*(), gas_put(), gas_get(), gas_atomic()    one-sided    segment.h, atomic.h
 */
#ifndef GAS_GAS_H
#define GAS_GAS_H

#include "alloc.h"
#include "atomic.h"
#include "boot/boot.h"
#include "clock.h"
#include "collective.h"
#include "collectives/table.h"
#include "conduit/conduit.h"
#include "config.h"
#include "event.h"
#include "failure.h"
#include "gate.h"
#include "home.h"
#include "job.h"
#include "mailbox.h"
#include "message.h"
#include "pool.h"
#include "reduction.h"
#include "segment.h"
#include "shrink.h"
#include "status.h"
#include "team.h"
#include "thread.h"
#include "traffic.h"
#include "wait.h"
#include "waiter.h"
#include "waiting.h"
#include "work.h"

#endif
