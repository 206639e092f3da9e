# Completes `vhost` in fish. Printed by `vhost completions fish`.
function __vhost_complete
    # As the command will get it; a quote that is still open can't be undone otherwise.
    set -l token (commandline --current-token | string trim --left --chars "\"'" | string unescape)
    set -l words (commandline --tokenize --cut-at-cursor --current-process) "$token"
    set -l candidates (command vhost completions fish -- $words 2>/dev/null)
    if test "$candidates" = :files
        set -l flag (string match --regex -- '^--[^=]*=' $token)
        set -l path (string replace --regex -- '^--[^=]*=' '' $token)
        set candidates "$flag"(__fish_complete_path $path)
    end
    string join -- \n $candidates
end

complete --command vhost --no-files --keep-order --arguments '(__vhost_complete)'
