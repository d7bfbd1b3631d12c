/* The folder of a finished run: its configuration, and its network with its weights. */
#include "train/run_dir.h"

int tr_config_of_run(const char *run_dir, tr_config **out, tr_error *err) {
    *out = NULL;
    if (!tr_is_folder(run_dir)) {
        tr_error cause = {0};
        if (tr_refuse_foreign(run_dir, &cause))
            return tr_fail(err, TR_ECONFIG, "--model: %s", cause.text);
        return tr_fail(err, TR_ECONFIG, "--model: '%s' is not the folder of a run", run_dir);
    }
    char *path = tr_path(run_dir, tr_run_file_name(TR_FILE_CONFIG), err);
    if (path == NULL) return TR_ENOMEM;
    int code =
        tr_exists(path)
            ? tr_config_read(path, out, err)
            : tr_fail(err, TR_ECONFIG, "--model: '%s' holds no run: it has no config.ini", run_dir);
    tr_free(path);
    return code;
}

static int load_run(tr_session *s, const char *run_dir, char sha256[65], tr_error *err) {
    tr_account account;
    tr_session_account(s, &account);
    int code = tr_account_check(&account, NULL, err);
    if (code == TR_OK) code = tr_graph_allocate(s->graph, err);
    if (code) return code;
    char *path = tr_path(run_dir, tr_run_file_name(TR_FILE_MODEL), err);
    code = path ? tr_session_load(s, path, err) : TR_ENOMEM;
    tr_free(path);
    return code ? code : tr_session_sha256(s, sha256, err);
}

int tr_finished_open(const tr_config *config, const char *run_dir, tr_session *s, char sha256[65],
                     tr_error *err) {
    tr_clear_temporaries(run_dir);
    int code = tr_session_open(config->doc, false, NULL, s, err);
    if (code) return code;
    if ((code = load_run(s, run_dir, sha256, err))) tr_session_close(s);
    return code;
}
