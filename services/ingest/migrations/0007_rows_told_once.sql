-- By which records of `rolls` flagging has told what became of an upload's rows: read again after a restore, in other
-- batches and under other ids, they count no second time. As ranges: an upload's rolls stand close together.
ALTER TABLE receipt ADD COLUMN told_by int8multirange NOT NULL DEFAULT '{}';
