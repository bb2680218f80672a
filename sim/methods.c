/* SPDX-License-Identifier: MIT */
/*
 * methods.c - which methods the simulated data centre serves, and by what
 *
 * Whatever is in a schema but not here is answered with METHOD_INVALID, whatever is in none with
 * INPUT_METHOD_INVALID.
 *
 * Threads: none: constants
 */
#include "sim/auth.h"
#include "sim/rpc.h"

#define ANON SIM_METHOD_ANON
#define UNBOUND SIM_METHOD_UNBOUND
#define FOREIGN SIM_METHOD_FOREIGN
#define HISTORY SIM_METHOD_HISTORY

const struct sim_method sim_methods[] = {
    /* logging in */
    { TLN_auth_sendCode, ANON, sim_auth_send_code },
    { TLN_auth_resendCode, ANON, sim_auth_resend_code },
    { TLN_auth_cancelCode, ANON, sim_auth_cancel_code },
    { TLN_auth_signIn, ANON, sim_auth_sign_in },
    { TLN_auth_signUp, ANON, sim_auth_sign_up },
    { TLN_auth_checkPassword, ANON, sim_auth_check_password },
    { TLN_auth_importBotAuthorization, ANON, sim_auth_bot },
    { TLN_auth_exportLoginToken, ANON, sim_auth_export_token },
    { TLN_auth_importLoginToken, ANON, sim_auth_import_token },
    { TLN_auth_acceptLoginToken, 0, sim_auth_accept_token },
    { TLN_auth_exportAuthorization, 0, sim_auth_export },
    { TLN_auth_importAuthorization, ANON, sim_auth_import },
    { TLN_auth_bindTempAuthKey, ANON | UNBOUND, sim_auth_bind },
    { TLN_auth_dropTempAuthKeys, 0, sim_auth_drop_temp },
    { TLN_auth_logOut, FOREIGN, sim_auth_log_out },
    { TLN_auth_resetAuthorizations, 0, sim_auth_reset_all },
    { TLN_account_getPassword, ANON, sim_account_get_password },
    { TLN_account_getAuthorizations, 0, sim_account_get_authorizations },
    { TLN_account_resetAuthorization, 0, sim_account_reset_authorization },
    /* configuration */
    { TLN_help_getConfig, ANON | UNBOUND, sim_help_config },
    { TLN_help_getNearestDc, ANON | UNBOUND, sim_help_nearest_dc },
    { TLN_help_getAppConfig, ANON, sim_help_app_config },
    { TLN_help_getCdnConfig, ANON, sim_help_cdn_config },
    { TLN_help_getPromoData, 0, sim_help_promo },
    { TLN_help_getTermsOfServiceUpdate, 0, sim_help_terms_update },
    { TLN_help_getAppUpdate, ANON, sim_help_app_update },
    { TLN_help_getInviteText, 0, sim_help_invite_text },
    { TLN_help_getPeerColors, ANON, sim_empty_reply },
    { TLN_help_getPeerProfileColors, ANON, sim_empty_reply },
    { TLN_help_getTimezonesList, ANON, sim_empty_reply },
    { TLN_help_getCountriesList, ANON, sim_empty_reply },
    { TLN_help_saveAppLog, ANON, sim_true },
    { TLN_help_dismissSuggestion, 0, sim_true },
    { TLN_langpack_getLangPack, ANON, sim_langpack_pack },
    { TLN_langpack_getDifference, ANON, sim_langpack_pack },
    { TLN_langpack_getStrings, ANON, sim_empty_list },
    { TLN_langpack_getLanguages, ANON, sim_langpack_languages },
    { TLN_langpack_getLanguage, ANON, sim_langpack_language },
    /* chats and users */
    { TLN_messages_getDialogs, 0, sim_get_dialogs },
    { TLN_messages_getPinnedDialogs, 0, sim_get_pinned_dialogs },
    { TLN_messages_getPeerDialogs, 0, sim_get_peer_dialogs },
    { TLN_messages_getDialogFilters, 0, sim_get_dialog_filters },
    { TLN_messages_getDialogUnreadMarks, 0, sim_empty_list },
    { TLN_messages_getPeerSettings, 0, sim_get_peer_settings },
    { TLN_channels_getChannels, 0, sim_get_channels },
    { TLN_messages_getChats, 0, sim_get_chats },
    { TLN_users_getUsers, FOREIGN, sim_get_users },
    { TLN_users_getFullUser, 0, sim_get_full_user },
    { TLN_users_getRequirementsToContact, 0, sim_empty_list },
    { TLN_channels_getFullChannel, 0, sim_get_full_channel },
    { TLN_messages_getFullChat, 0, sim_get_full_chat },
    { TLN_channels_getParticipant, 0, sim_get_participant },
    { TLN_channels_getParticipants, 0, sim_get_participants },
    { TLN_contacts_resolveUsername, 0, sim_resolve_username },
    { TLN_contacts_resolvePhone, 0, sim_resolve_phone },
    { TLN_contacts_getContacts, 0, sim_get_contacts },
    { TLN_contacts_getTopPeers, 0, sim_empty_reply },
    { TLN_contacts_getStatuses, 0, sim_empty_list },
    { TLN_contacts_getBlocked, 0, sim_empty_reply },
    { TLN_contacts_search, 0, sim_empty_reply },
    /* messages */
    { TLN_messages_getHistory, HISTORY, sim_get_history },
    { TLN_messages_search, HISTORY, sim_search },
    { TLN_messages_getReplies, HISTORY, sim_get_replies },
    { TLN_messages_getDiscussionMessage, 0, sim_get_discussion },
    { TLN_messages_getMessages, 0, sim_get_messages },
    { TLN_channels_getMessages, 0, sim_channels_get_messages },
    { TLN_messages_getForumTopics, 0, sim_get_topics },
    { TLN_messages_getForumTopicsByID, 0, sim_get_topics_by_id },
    { TLN_channels_getForumTopics, 0, sim_get_topics },
    { TLN_channels_getForumTopicsByID, 0, sim_get_topics_by_id },
    { TLN_messages_getSearchCounters, 0, sim_search_counters },
    { TLN_messages_getMessagesReactions, 0, sim_reactions_of },
    { TLN_messages_getMessagesViews, 0, sim_views_of },
    { TLN_messages_getUnreadMentions, 0, sim_empty_reply },
    { TLN_messages_readHistory, 0, sim_read_history },
    { TLN_channels_readHistory, 0, sim_true },
    { TLN_messages_getPinnedSavedDialogs, 0, sim_empty_reply },
    { TLN_messages_getSavedDialogs, 0, sim_empty_reply },
    { TLN_messages_getAllStickers, 0, sim_empty_reply },
    { TLN_messages_getAvailableReactions, 0, sim_empty_reply },
    { TLN_messages_getEmojiKeywordsLanguages, 0, sim_empty_list },
    { TLN_messages_getDefaultHistoryTTL, 0, sim_empty_reply },
    { TLN_messages_saveDraft, 0, sim_true },
    /* updates */
    { TLN_updates_getState, 0, sim_updates_state },
    { TLN_updates_getDifference, 0, sim_updates_difference },
    { TLN_updates_getChannelDifference, 0, sim_updates_channel_difference },
    /* takeout */
    { TLN_account_initTakeoutSession, 0, sim_takeout_init },
    { TLN_account_finishTakeoutSession, 0, sim_takeout_finish },
    { TLN_messages_getSplitRanges, 0, sim_takeout_ranges },
    { TLN_channels_getLeftChannels, 0, sim_takeout_left_channels },
    /* files */
    { TLN_upload_getFile, FOREIGN, sim_upload_get_file },
    { TLN_upload_getFileHashes, FOREIGN, sim_upload_get_hashes },
    { TLN_upload_getCdnFile, ANON, sim_upload_get_cdn_file },
    { TLN_upload_reuploadCdnFile, FOREIGN, sim_upload_reupload_cdn },
    { TLN_upload_getCdnFileHashes, FOREIGN, sim_upload_get_cdn_hashes },
    /* of the account */
    { TLN_account_updateStatus, 0, sim_true },
    { TLN_account_getNotifySettings, 0, sim_empty_reply },
    { TLN_account_getContactSignUpNotification, 0, sim_false },
    { TLN_account_getGlobalPrivacySettings, 0, sim_empty_reply },
    { TLN_account_getAccountTTL, 0, sim_empty_reply },
    { TLN_account_registerDevice, 0, sim_true },
    { TLN_account_unregisterDevice, 0, sim_true },
    { 0, 0, NULL },
};

/* Replies whose smallest form says "nothing". */
static const struct {
    uint16_t method, predicate;
} empty[] = {
    { TLN_help_getPeerColors, TLN_help_peerColors },
    { TLN_help_getPeerProfileColors, TLN_help_peerColors },
    { TLN_help_getTimezonesList, TLN_help_timezonesList },
    { TLN_help_getCountriesList, TLN_help_countriesList },
    { TLN_contacts_getTopPeers, TLN_contacts_topPeersDisabled },
    { TLN_contacts_getBlocked, TLN_contacts_blocked },
    { TLN_contacts_search, TLN_contacts_found },
    { TLN_messages_getUnreadMentions, TLN_messages_messages },
    { TLN_messages_getPinnedSavedDialogs, TLN_messages_savedDialogs },
    { TLN_messages_getSavedDialogs, TLN_messages_savedDialogs },
    { TLN_messages_getAllStickers, TLN_messages_allStickers },
    { TLN_messages_getAvailableReactions, TLN_messages_availableReactions },
    { TLN_messages_getDefaultHistoryTTL, TLN_defaultHistoryTTL },
    { TLN_account_getNotifySettings, TLN_peerNotifySettings },
    { TLN_account_getGlobalPrivacySettings, TLN_globalPrivacySettings },
    { TLN_account_getAccountTTL, TLN_accountDaysTTL },
};

uint32_t sim_empty_name(uint32_t method)
{
    for (size_t i = 0; i < TG_COUNT(empty); i++) {
        if (empty[i].method == method)
            return empty[i].predicate;
    }
    return 0;
}
