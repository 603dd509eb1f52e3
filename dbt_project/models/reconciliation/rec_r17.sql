-- One row per landing batch, currency and finding: what landing counted against the rows that stand in its file (R17).
{{ config(tags=['before_posting']) }}

-- The left side is the register of batches, written before each file: rows, control totals per money field, and a digest
-- over the identity and content hash of every row. A file whose rows hash to their own text and to that digest holds what
-- was summed up; only where one of them fails are the rows themselves looked at and their money summed again.
with sources as (
    select * from {{ state('sources') }}
),

currencies as (
    select * from {{ state('currencies') }}
),

manifest as (
    select
        path,
        source,
        source || '/' || object || '/' || batch_id as reference,
        batch_id,
        landed_at,
        row_count + quarantined as row_count,
        seq_from,
        {{ recon_json_at('control_totals', "'$.digest'") }} as digest,
        control_totals,
        coalesce({{ recon_json_at('control_totals', "'$.transformed'") }} = 'true', false) as is_transformed,
        committed_at is not null as is_committed
    from {{ state('landing_batches') }}
    where path is not null
),

totals as (
    select
        manifest.path,
        totals.field,
        totals.unit,
        totals.currency_field,
        upper(totals.currency) as currency,
        {{ landed_amount('totals.amount') }} as amount
    from {{ state('landing_totals') }} as totals
    inner join manifest on totals.batch_id = manifest.batch_id
    where totals.unit is not null
),

placed as (
    select
        landed.*,
        coalesce(
            manifest.path is not null and (
                manifest.seq_from is null or landed._landing_seq between manifest.seq_from and manifest.seq_from + manifest.row_count - 1
            ), false
        ) as is_expected,
        {{ landed_row_number() }} as row_number,
        -- What was changed on its way in (encrypted) or cut (quarantine) no longer is the text that was hashed.
        not landed.is_quarantined and not coalesce(manifest.is_transformed, false)
        and coalesce({{ sha256_of('landed.raw') }} <> landed._content_hash, true) as is_altered
    from {{ landed_rows() }} as landed
    left join manifest on landed.path = manifest.path
),

contents as (
    select
        path,
        count(*) as row_count,
        count(distinct case when is_expected then _landing_seq end) as kept_count,
        sum(case when is_expected then 0 else 1 end) as foreign_count,
        sum(case when is_altered then 1 else 0 end) as altered_count,
        {{ landed_digest('row_number') }} as digest
    from placed
    group by path
),

-- A file that appeared after the register was read is not judged yet; an announced one that never appeared lost nothing.
batches as (
    select
        coalesce(manifest.path, files.path) as path,
        manifest.source,
        coalesce(manifest.reference, files.path) as reference,
        manifest.landed_at,
        manifest.seq_from,
        manifest.digest,
        manifest.control_totals,
        coalesce(manifest.row_count, 0) as expected_count,
        manifest.path is not null as is_known,
        files.path is not null as is_there,
        files.row_count,
        coalesce(contents.kept_count, 0) as kept_count,
        coalesce(contents.foreign_count, 0) as foreign_count,
        coalesce(contents.altered_count, 0) as altered_count,
        coalesce(contents.row_count, 0) - coalesce(contents.foreign_count, 0) - coalesce(contents.kept_count, 0) as repeated_count,
        coalesce(manifest.row_count, 0) - coalesce(contents.kept_count, 0) as absent_count,
        coalesce(manifest.digest <> coalesce(contents.digest, '000000000000000'), false) as is_other_digest
    from manifest
    full outer join {{ landed_files() }} as files on manifest.path = files.path
    left join contents on files.path = contents.path
    left join {{ state('landing_files') }} as inventory on files.path = inventory.path
    where
        (manifest.path is null and inventory.path is not null and not (files.row_count = 0 and files.path like 'landing/_none/%'))
        or (manifest.path is not null and (files.path is not null or manifest.is_committed))
),

judged as (
    select
        *,
        is_known and is_there and absent_count = 0 and repeated_count = 0 and foreign_count = 0 and altered_count = 0
        and not is_other_digest as is_sound
    from batches
),

-- Only the rows of files that are not as they were written.
suspects as (
    select
        placed.path,
        placed._record_id as record_id,
        placed._landing_seq as seq,
        placed.is_altered,
        placed.raw,
        placed.row_number,
        case
            when not placed.is_expected then 'foreign'
            when row_number() over (partition by placed.path, placed.is_expected, placed._landing_seq order by placed._record_id) > 1
                then 'repeated'
            else 'kept'
        end as kind
    from placed
    inner join judged on placed.path = judged.path
    where not judged.is_sound
),

money as (
    select
        path,
        'expected' as kind,
        currency,
        unit,
        sum(amount) as amount
    from totals
    group by path, currency, unit
    union all
    select
        suspects.path,
        suspects.kind,
        coalesce(upper({{ recon_json_at('suspects.raw', "'$.\"' || fields.currency_field || '\"'") }}), '-') as currency,
        fields.unit,
        sum({{ landed_amount(recon_json_at('suspects.raw', "'$.\"' || fields.field || '\"'")) }}) as amount
    from suspects
    inner join (
        select distinct
            path,
            field,
            unit,
            currency_field
        from totals
    ) as fields on suspects.path = fields.path
    group by
        suspects.path, suspects.kind, coalesce(upper({{ recon_json_at('suspects.raw', "'$.\"' || fields.currency_field || '\"'") }}), '-'), fields.unit
),

-- Minor units of the currency; what has none counts in the entity's own.
sums as (
    select
        money.path,
        coalesce(currencies.currency, '-') as currency,
        sum(case when money.kind = 'expected' then {{ landed_minor('money.amount', 'money.unit', 'currencies.exponent') }} else 0 end) as expected,
        sum(case when money.kind = 'kept' then {{ landed_minor('money.amount', 'money.unit', 'currencies.exponent') }} else 0 end) as kept,
        sum(case when money.kind = 'repeated' then {{ landed_minor('money.amount', 'money.unit', 'currencies.exponent') }} else 0 end) as repeated,
        sum(case when money.kind = 'foreign' then {{ landed_minor('money.amount', 'money.unit', 'currencies.exponent') }} else 0 end) as unasked
    from money
    left join currencies on money.currency = currencies.currency
    group by money.path, coalesce(currencies.currency, '-')
),

-- One row changed together with its hash: the locators that differ spell its place; more than one leave no pattern.
changes as (
    select
        judged.path,
        judged.seq_from,
        {%- for bit in range(17) %}
        {{ landed_digest_change(
            recon_json_at('judged.control_totals', "'$.locators[" ~ bit ~ "]'"),
            landed_digest('case when ' ~ landed_bit('suspects.seq - judged.seq_from', bit) ~ ' then suspects.row_number end')
        ) }} as change_{{ bit }},
        {%- endfor %}
        {{ landed_digest_change('judged.digest', landed_digest('suspects.row_number')) }} as change
    from judged
    inner join suspects on judged.path = suspects.path
    where
        judged.is_other_digest and judged.seq_from is not null
        and judged.absent_count = 0 and judged.repeated_count = 0 and judged.foreign_count = 0
    group by judged.path, judged.seq_from, judged.digest, judged.control_totals
),

located as (
    select
        path,
        seq_from
        {%- for bit in range(17) %}
        + case when change_{{ bit }} <> 0 then {{ 2 ** bit }} else 0 end
        {%- endfor %} as seq
    from changes
    where
        change <> 0
        {%- for bit in range(17) %}
        and change_{{ bit }} in (0, change)
        {%- endfor %}
),

named as (
    select
        path,
        kind,
        record_id || ' (sequence ' || cast(seq as varchar) || ')' as name,
        row_number() over (partition by path, kind order by seq, record_id) as place
    from (
        select
            suspects.path,
            suspects.record_id,
            suspects.seq,
            case when suspects.is_altered or located.seq is not null then 'altered' else suspects.kind end as kind
        from suspects
        left join located on suspects.path = located.path and suspects.seq = located.seq
    ) as marked
    where kind <> 'kept'
),

gaps as (
    select
        path,
        'absent' as kind,
        'sequence ' || cast(seq + 1 as varchar) || case when next_seq > seq + 2 then ' to ' || cast(next_seq - 1 as varchar) else '' end as name,
        row_number() over (partition by path order by seq) as place
    from (
        select
            path,
            seq,
            lead(seq) over (partition by path order by seq) as next_seq
        from (
            select
                path,
                seq
            from suspects
            where kind = 'kept'
            union all
            select
                path,
                seq_from - 1 as seq
            from judged
            where is_there and absent_count > 0 and seq_from is not null
            union all
            select
                path,
                seq_from + expected_count as seq
            from judged
            where is_there and absent_count > 0 and seq_from is not null
        ) as ends
    ) as steps
    where next_seq > seq + 1
),

names as (
    select
        path,
        kind,
        {{ recon_text_list('name') }} as names
    from (
        select * from named
        union all
        select * from gaps
    ) as told
    where place <= 10
    group by path, kind
),

faults as (
    select
        path,
        'gone' as kind,
        'missing_right' as variance_class,
        'The file of ' || cast(expected_count as varchar) || ' rows is gone: ' || path as told
    from judged
    where is_known and not is_there
    union all
    select
        path,
        'foreign' as kind,
        'missing_left' as variance_class,
        cast(row_count as varchar) || ' rows stand in a file that no landing announced' as told
    from judged
    where not is_known
    union all
    select
        path,
        'absent' as kind,
        'missing_right' as variance_class,
        cast(absent_count as varchar) || ' of ' || cast(expected_count as varchar) || ' rows are gone' as told
    from judged
    where is_known and is_there and absent_count > 0
    union all
    select
        path,
        'repeated' as kind,
        'duplicate' as variance_class,
        cast(repeated_count as varchar) || ' rows stand there more than once' as told
    from judged
    where is_known and repeated_count > 0
    union all
    select
        path,
        'foreign' as kind,
        'missing_left' as variance_class,
        cast(foreign_count as varchar) || ' rows do not belong to this batch' as told
    from judged
    where is_known and foreign_count > 0
    union all
    select
        path,
        'altered' as kind,
        'amount' as variance_class,
        case
            when altered_count > 0 then cast(altered_count as varchar) || ' rows are not as they were received'
            else 'Rows are not those that landed: identity or text was changed together with its hash'
        end as told
    from judged
    where
        is_known and is_there
        and (altered_count > 0 or (is_other_digest and absent_count = 0 and repeated_count = 0 and foreign_count = 0))
),

-- What lacks and what is too much, by currency; a batch that is sound keeps what was counted.
fault_sums as (
    select
        faults.path,
        faults.kind,
        sums.currency,
        case faults.kind
            when 'gone' then sums.expected
            when 'absent' then sums.expected - sums.kept
            when 'altered' then case when judged.absent_count > 0 then 0 else sums.expected - sums.kept end
            else 0
        end as left_amount,
        case faults.kind when 'repeated' then sums.repeated when 'foreign' then sums.unasked else 0 end as right_amount
    from faults
    inner join judged on faults.path = judged.path
    inner join sums on faults.path = sums.path
),

recon_rows as (
    select
        judged.path,
        sums.currency,
        judged.reference as item_key,
        case when judged.is_sound then coalesce(sums.expected, 0) else coalesce(sums.kept, 0) end as left_amount,
        case when judged.is_sound then coalesce(sums.expected, 0) else coalesce(sums.kept, 0) end as right_amount,
        cast(null as varchar) as variance_class,
        cast(null as varchar) as explanation,
        true as is_match,
        case
            when row_number() over (partition by judged.path order by sums.currency) = 1
                then greatest(judged.kept_count - judged.altered_count, 0)
            else 0
        end as match_count
    from judged
    left join sums on judged.path = sums.path
    left join sources on judged.source = sources.source
    -- What was read back lands after this run's look: it is judged in the next, and shows only where something is wrong,
    -- so that a rebuild from the records comes to the same figures.
    where judged.is_known and judged.is_there and coalesce(sources.role, 'source') <> 'read_back'
    union all
    select
        judged.path,
        fault_sums.currency,
        judged.reference || '|' || faults.kind as item_key,
        coalesce(fault_sums.left_amount, 0) as left_amount,
        coalesce(fault_sums.right_amount, 0) as right_amount,
        faults.variance_class,
        faults.told || coalesce(': ' || names.names, '') || '.' as explanation,
        false as is_match,
        0 as match_count
    from faults
    inner join judged on faults.path = judged.path
    left join names on faults.path = names.path and faults.kind = names.kind
    left join fault_sums
        on faults.path = fault_sums.path
        and faults.kind = fault_sums.kind
        and (fault_sums.left_amount <> 0 or fault_sums.right_amount <> 0)
),

-- A source that serves several entities is answered for by the company's first.
leads as (
    select min(lead_entity_id) as entity_id from sources
),

owners as (
    select
        judged.path,
        judged.reference,
        coalesce(sources.entity_id, leads.entity_id) as entity_id,
        least({{ recon_month('judged.landed_at') }}, {{ recon_month(as_of_date()) }}) as period
    from judged
    left join sources on judged.source = sources.source
    cross join leads
),

shaped as (
    select
        owners.entity_id,
        coalesce(owners.period, {{ recon_month(as_of_date()) }}) as period,
        coalesce(nullif(recon_rows.currency, '-'), entities.functional_currency) as currency,
        recon_rows.item_key || case when recon_rows.currency = '-' then '|no currency' else '' end as item_key,
        recon_rows.left_amount,
        recon_rows.right_amount,
        recon_rows.variance_class,
        case when recon_rows.variance_class in ('duplicate', 'missing_left') then cast(null as varchar) else owners.reference end as left_reference,
        case when recon_rows.variance_class = 'missing_right' then cast(null as varchar) else owners.reference end as right_reference,
        owners.reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id,
        recon_rows.explanation,
        cast(null as varchar) as expected_clear_period,
        cast(null as varchar) as erp_document,
        recon_rows.is_match,
        recon_rows.match_count
    from recon_rows
    inner join owners on recon_rows.path = owners.path
    inner join {{ state('entities') }} as entities on owners.entity_id = entities.entity_id
)

{{ recon_shape('R17', 'shaped') }}
