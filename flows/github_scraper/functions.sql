-- Rules of Python (`rules/`) that hold for what other programs write, too: tests compare them.
create or replace function public.folded_email(email text)
returns text
language sql
immutable
as $$
    select case
        -- The same of most, without a search for each letter.
        when email collate "C" !~ '[^\u0001-\u007f]'
            then lower(btrim(email, E' \t\n\r\f\v') collate "C")
        else translate(
            btrim(email, E' \t\n\r\f\v'),
            'ABCDEFGHIJKLMNOPQRSTUVWXYZÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĲĴĶĹĻĽĿŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƠƢƤƦƧƩƬƮƯƱƲƳƵƷƸƼǄǇǊǍǏǑǓǕǗǙǛǞǠǢǤǦǨǪǬǮǱǴǶǷǸǺǼǾȀȂȄȆȈȊȌȎȐȒȔȖȘȚȜȞȠȢȤȦȨȪȬȮȰȲȺȻȽȾɁɃɄɅɆɈɊɌɎͰͲͶͿΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫϏϘϚϜϞϠϢϤϦϨϪϬϮϷϹϺϽϾϿЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮӰӲӴӶӸӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖḀḂḄḆḈḊḌḎḐḒḔḖḘḚḜḞḠḢḤḦḨḪḬḮḰḲḴḶḸḺḼḾṀṂṄṆṈṊṌṎṐṒṔṖṘṚṜṞṠṢṤṦṨṪṬṮṰṲṴṶṸṺṼṾẀẂẄẆẈẊẌẎẐẒẔẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪỬỮỰỲỴỶỸỺỼỾἈἉἊἋἌἍἎἏἘἙἚἛἜἝἨἩἪἫἬἭἮἯἸἹἺἻἼἽἾἿὈὉὊὋὌὍὙὛὝὟὨὩὪὫὬὭὮὯᾸᾹᾺΆῈΈῊΉῘῙῚΊῨῩῪΎῬῸΌῺΏ',
            'abcdefghijklmnopqrstuvwxyzàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĳĵķĺļľŀłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿźżžɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯɲɵơƣƥʀƨʃƭʈưʊʋƴƶʒƹƽǆǉǌǎǐǒǔǖǘǚǜǟǡǣǥǧǩǫǭǯǳǵƕƿǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșțȝȟƞȣȥȧȩȫȭȯȱȳⱥȼƚⱦɂƀʉʌɇɉɋɍɏͱͳͷϳάέήίόύώαβγδεζηθικλμνξοπρστυφχψωϊϋϗϙϛϝϟϡϣϥϧϩϫϭϯϸϲϻͻͼͽѐёђѓєѕіїјљњћќѝўџабвгдежзийклмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯӱӳӵӷӹӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆḁḃḅḇḉḋḍḏḑḓḕḗḙḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷḹḻḽḿṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹỻỽỿἀἁἂἃἄἅἆἇἐἑἒἓἔἕἠἡἢἣἤἥἦἧἰἱἲἳἴἵἶἷὀὁὂὃὄὅὑὓὕὗὠὡὢὣὤὥὦὧᾰᾱὰάὲέὴήῐῑὶίῠῡὺύῥὸόὼώ'
        )
    end;
$$;

create or replace function public.identity_key_of(username text, email text)
returns text
language sql
immutable
as $$
    select case
        when length(told.email) > 320
            then 'email:' || left(told.email, 100) || '... sha256 '
            || encode(sha256(convert_to(told.email, 'UTF8')), 'hex')
        when account.number <> 0 then 'account:' || account.place || account.number
        when account.login is not null then 'login:' || account.place || account.login
        when told.email <> '' then 'email:' || told.email
        when told.username <> '' then 'login:' || told.username
    end
    from (
        select
            public.folded_email(coalesce(identity_key_of.email, '')) as email,
            public.folded_email(coalesce(identity_key_of.username, '')) as username
    ) as told
    left join lateral (
        select
            noreply.parts[2] as login,
            case when noreply.parts[3] = 'github.com' then '' else noreply.parts[3] || '/' end as place,
            cast(coalesce(
                noreply.parts[1],
                case when noreply.parts[3] like '%gitlab%' then substring(noreply.parts[2] from '^([0-9]{1,15})-.') end
            ) as bigint) as number
        from (
            select regexp_match(
                told.email,
                '^(?:([0-9]{1,15})\+)?([^@+]+)@users\.noreply\.([a-z0-9.-]+\.[a-z0-9-]+)$'
            ) as parts
        ) as noreply
        where noreply.parts is not null
    ) as account on true;
$$;

-- Whether a line of the list of aliases names somebody: by an address, a login or an identity key.
create or replace function public.is_name_of_contributor(name text)
returns boolean
language sql
immutable
as $$
    select
        told ~ '^[^<>]*<[[:space:]]*[^<>[:space:]][^<>]*>$'
        or told ~ '^(?!(account|email|login|name|anonymous|application):)[^@<>[:space:]]+(@[^@<>[:space:]]+)+$'
        or told ~ '^[^@<>:/[:space:]]+$'
        or told ~ '^account:([^/[:space:]]+/)?[0-9]+$'
        or told ~ '^(login:[^@[:space:]]|(email:|name:[0-9]+/)[^[:space:]])'
        or told ~ '^(anonymous|application):[0-9]+$'
    from (select public.folded_email(is_name_of_contributor.name) as told)
$$;

-- However it is written: `*.Example.com`, `@example.com`, `example.com.`
create or replace function public.tidied_domain(domain text)
returns text
language sql
immutable
as $$
    select rtrim(regexp_replace(public.folded_email(domain), '^(@|[*]?[.])+', ''), '.')
$$;

-- What may stand behind the @ of an address.
create or replace function public.is_email_domain(domain text)
returns boolean
language sql
immutable
as $$
    select
        domain = public.folded_email(domain)
        and domain ~ '^([a-z0-9_-]|[^\u0001-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f\u3000\ufeff])+([.]([a-z0-9_-]|[^\u0001-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f\u3000\ufeff])+)*$'
$$;

-- An address without the query and fragment of a URL; NULL where a part of it may be a credential.
create or replace function public.bare_address(address text)
returns text
language sql
immutable
as $$
    select case
        when
            regexp_replace(
                plain,
                '(^|[^A-Za-z0-9])(?:gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)|atbb)(?:[_-](?:[A-Z]?[a-z]{1,15}|v?[0-9]{1,2}))+(?![A-Za-z0-9_-])',
                '\1', 'g'
            ) ~* '(?:^|[^a-z0-9])(?:gh[pousr]_[a-z0-9]{16}|github_pat_[a-z0-9_]{16}|at(?:bb|att3x)[a-z0-9_-]{16}|gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[a-z0-9_-]{16})'
            or plain ~* '(?:[\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]|%(?:25)*20)(?:bearer[\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]|(?=[^/\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*[0-9])(?=[^/\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*[a-z])[^/\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]{8})'
            then null
        when plain like '/%'
            then case
                when
                    plain !~* '^/[./]*[^/]*(?:[@:]|%(?:25)*(?:40|3a))|(?::|%(?:25)*3a).*(?:@|%(?:25)*40)|[?;]|%(?:25)*3[bf]|#[^/]|(?:[&#]|%(?:25)*2[36])[^/]*(?:=|%(?:25)*3d)|(?:token|secret|passw|pwd|auth|credential|api[_-]?key)[^/]*(?:=|%(?:25)*3d)'
                    then told.bare
            end
        when
            plain ~* '^(?:ssh://(?:(?:git|gitea|forgejo|gogs|gitlab|gitolite3?|aur|hg|org-[0-9]{1,12})@)?|(?!ssh:)[a-z][a-z0-9+.-]*://)(?:[^@:%;=&?#\\/\[\]\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?(?:/(?:[^@:%;=&?#\\\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]|%(?:20|2[89bcd]|7e|[89a-e][0-9a-f]))*)?$'
            or plain ~* '^(?:git|gitea|forgejo|gogs|gitlab|gitolite3?|aur|hg|org-[0-9]{1,12})@[^@:%;=&?#\\/\[\]\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*:(?:[^@:%;=&?#\\\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]|%(?:20|2[89bcd]|7e|[89a-e][0-9a-f]))*$'
            or plain ~* '^(?![^/]*[0-9][^/]*$)(?!.*[a-z0-9_]{16})(?:[^@:%;=&?#\\\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]|%(?:20|2[89bcd]|7e|[89a-e][0-9a-f]))*$'
            then told.bare
    end
    from (
        select
            trimmed.bare,
            normalize(trimmed.bare, nfkc) as plain
        from (
            select case
                when length(spaceless.address) > 4096 then null
                when spaceless.address !~* '^[a-z][a-z0-9+.-]*://' then spaceless.address
                when normalize(spaceless.address, nfkc) !~* '[?#].*(?:@|%(?:25)*40)'
                    then regexp_replace(spaceless.address, '[?#].*$', '')
            end as bare
            from (
                select btrim(
                    bare_address.address, E' \t\n\r\f\v\u00a0\u200b\u3000\ufeff'
                ) as address
            ) as spaceless
        ) as trimmed
    ) as told;
$$;

-- The one spelling of an address, as far as it is known here; NULL where a part of it may be a
-- credential. `repository_url` knows more and refuses what cannot be fetched.
create or replace function public.repository_address(address text)
returns text
language sql
immutable
as $$
    select case
        when told.bare like 'file:///%' then rtrim(substr(told.bare, 8), '/')
        when named.host = 'gitlab.com' and named.names !~ '^[a-z0-9_.][a-z0-9_.-]*(?:/[a-z0-9_.][a-z0-9_.-]*)+$'
            then told.bare
        when named.host <> 'gitlab.com' and named.names !~ '^[a-z0-9_.-]+/[a-z0-9_.-]+$'
            then told.bare
        when named.names ~ '(^|/)[.]{1,2}(/|$)' then told.bare
        when named.host = 'github.com' or named.is_web then 'https://' || named.host || '/' || named.names
        when not named.is_web then 'ssh://git@' || named.host || '/' || named.names
        else told.bare
    end
    from (select public.bare_address(repository_address.address) as bare) as told
    left join lateral (
        select
            coalesce(found.parts[2], found.parts[3]) as host,
            coalesce(found.parts[1] <> 'ssh', false) as is_web,
            regexp_replace(ltrim(found.parts[4], '/'), '(/*[.]git)*/*$', '') as names
        from (
            -- Only behind a scheme a port is told: git@host:443/name has none.
            select regexp_match(
                lower(told.bare),
                '^(?:(https?|git|ssh)://(?:[^@/]*@)?(?:(?:www|ssh|altssh)[.])?(github[.]com|gitlab[.]com|bitbucket[.]org|codeberg[.]org)[.]*(?::[1-9][0-9]{0,4}/|:|/)|[^@/:]*@(?:(?:www|ssh|altssh)[.])?(github[.]com|gitlab[.]com|bitbucket[.]org|codeberg[.]org)[.]*:)(.*)$'
            ) as parts
        ) as found
        where found.parts is not null
    ) as named on true;
$$;

-- What a view has besides its query, as the statements that give it that: with the name of a column
-- where they are about one.
create or replace function public.view_details(viewed regclass)
returns table (column_name name, statement text)
language sql
stable
as $$
    select null, format('alter view %s owner to %s', viewed, relowner::regrole)
    from pg_class
    where oid = viewed and relowner::regrole::text <> current_user
    union all
    select null, format('alter view %s set (%s)', viewed, array_to_string(reloptions, ', '))
    from pg_class
    where oid = viewed and reloptions is not null
    union all
    select
        attname,
        case
            when attname is null then format('comment on view %s is %L', viewed, description)
            else format('comment on column %s.%I is %L', viewed, attname, description)
        end
    from pg_description
    left join pg_attribute on attrelid = objoid and attnum = objsubid and objsubid > 0
    where objoid = viewed and classoid = 'pg_class'::regclass
    union all
    select
        attname,
        format(
            'alter view %s alter column %I set default %s',
            viewed, attname, pg_get_expr(adbin, adrelid)
        )
    from pg_attrdef
    inner join pg_attribute on attrelid = adrelid and attnum = adnum
    where adrelid = viewed
    union all
    -- What default privileges give a view that is new, its owner may have taken away.
    select
        null,
        format(
            'do %L',
            format(
                $block$
                declare
                    given text;
                begin
                    for given in
                        select distinct
                            case when grantee = 0 then 'public' else grantee::regrole::text end
                        from pg_class
                        cross join lateral aclexplode(coalesce(relacl, acldefault('r', relowner)))
                        where oid = %L::regclass
                    loop
                        execute format('revoke all on %s from %%s', given);
                    end loop;
                end
                $block$,
                viewed::text, replace(viewed::text, '''', '''''')
            )
        )
    union all
    select
        granted.attname,
        format(
            'grant %s%s on %s to %s%s',
            privilege.privilege_type,
            case when granted.attname is not null then format(' (%I)', granted.attname) end,
            viewed,
            case when privilege.grantee = 0 then 'public' else privilege.grantee::regrole::text end,
            case when privilege.is_grantable then ' with grant option' end
        )
    from (
        select null::name as attname, coalesce(relacl, acldefault('r', relowner)) as acl
        from pg_class
        where oid = viewed
        union all
        select attname, attacl from pg_attribute where attrelid = viewed
    ) as granted
    cross join lateral aclexplode(granted.acl) as privilege
$$;

-- Whether a view has what `view_details` does not tell of.
create or replace function public.view_stays(viewed regclass)
returns boolean
language sql
stable
as $$
    select
        exists (select 1 from pg_class where oid = viewed and relkind <> 'v')
        or exists (select 1 from pg_trigger where tgrelid = viewed and not tgisinternal)
        or exists (select 1 from pg_rewrite where ev_class = viewed and rulename <> '_RETURN')
$$;
