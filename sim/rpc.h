/* SPDX-License-Identifier: MIT */
/*
 * rpc.h - the handlers of methods, by area, and what they share
 *
 * Threads: none
 */
#ifndef SIM_RPC_H
#define SIM_RPC_H

#include "sim/core.h"

/** A channel's marked id is this minus its bare id. */
#define SIM_CHANNEL_MARK INT64_C(-1000000000000)

/* takeout.c */
/** Whether the call is wrapped as the takeout of its login demands; else it is refused. */
bool sim_takeout_ok(struct sim_call *c, unsigned flags, const char *method);
void sim_takeout_login_ends(struct sim_core *core, struct sim_login *login);
struct tl_value *sim_takeout_init(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_takeout_finish(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_takeout_ranges(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_takeout_left_channels(struct sim_call *c, const struct tl_value *q);

/* rpc_help.c */
struct tl_value *sim_help_config(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_help_nearest_dc(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_help_app_config(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_help_cdn_config(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_help_promo(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_help_terms_update(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_help_app_update(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_help_invite_text(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_langpack_pack(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_langpack_languages(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_langpack_language(struct sim_call *c, const struct tl_value *q);

/* rpc_dialogs.c */
struct tl_value *sim_get_dialogs(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_pinned_dialogs(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_peer_dialogs(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_dialog_filters(struct sim_call *c, const struct tl_value *q);

/* rpc_chats.c */
struct tl_value *sim_get_channels(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_chats(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_users(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_full_user(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_full_channel(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_full_chat(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_resolve_username(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_resolve_phone(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_contacts(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_peer_settings(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_participant(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_participants(struct sim_call *c, const struct tl_value *q);

/* rpc_history.c */
struct tl_value *sim_get_history(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_channels_get_messages(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_messages(struct sim_call *c, const struct tl_value *q);

/* rpc_search.c */
struct tl_value *sim_search(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_replies(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_discussion(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_topics(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_get_topics_by_id(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_search_counters(struct sim_call *c, const struct tl_value *q);

/* rpc_updates.c */
struct tl_value *sim_updates_state(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_updates_difference(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_updates_channel_difference(struct sim_call *c, const struct tl_value *q);

/** What a change is told as: an update with the pts it led to. Adds the peers it names.
 *  @return NULL: the message is gone meanwhile */
struct tl_value *sim_update_value(struct sim_call *c, const struct sim_change *change);
/** @return updates.state of the call's account */
struct tl_value *sim_state_value(struct sim_call *c);
/** @return the channel's pts, as its dialog tells */
int32_t sim_channel_pts(struct sim_call *c, const struct sim_chat *chat);

/* rpc_files.c */
struct tl_value *sim_upload_get_file(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_upload_get_hashes(struct sim_call *c, const struct tl_value *q);
/** Whether offset and limit are as the rules have them; else the call is refused. */
bool sim_file_range_ok(struct sim_call *c, const struct tl_value *q);
/** Adds the hashes of a file from an offset on to a vector. */
void sim_file_add_hashes(struct sim_call *c, struct tl_value *list, int64_t id, int64_t offset);
/** @return a vector of them; NULL: it is no offset */
struct tl_value *sim_file_hashes(struct sim_call *c, int64_t id, int64_t offset);

/* rpc_cdn.c */
/** @return whether clients are sent to the CDN for that file */
bool sim_cdn_has(const struct sim_call *c, int64_t file_id);
struct tl_value *sim_cdn_redirect(struct sim_call *c, int64_t file_id, int64_t offset);
struct tl_value *sim_upload_get_cdn_file(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_upload_reupload_cdn(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_upload_get_cdn_hashes(struct sim_call *c, const struct tl_value *q);

/* rpc_misc.c: what full clients ask after login */
struct tl_value *sim_true(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_false(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_empty_list(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_empty_reply(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_read_history(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_reactions_of(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_views_of(struct sim_call *c, const struct tl_value *q);

/* methods.c */

/** @return predicate of the empty reply of a method in sim_empty_reply's table; 0 if none */
uint32_t sim_empty_name(uint32_t method);

/* rpc_dialogs.c */
void sim_dialogs_free(struct sim_core *core);

#endif
